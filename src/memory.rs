//! How much memory there is.

use sysinfo::System;

/// Bytes of memory that this process may have: those of the machine, or of the container it is in; all there can be where the
/// system does not tell.
pub(crate) fn total() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    match system.total_memory() {
        0 => u64::MAX,
        machine => system
            .cgroup_limits()
            .map_or(machine, |limits| limits.total_memory),
    }
}
