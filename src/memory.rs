//! How much memory there is.

use sysinfo::System;

/// Bytes of memory that this process may have: those of the machine, or of the container it is in.
pub(crate) fn total() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map(|limits| limits.total_memory);
    limit.unwrap_or_else(|| system.total_memory())
}
