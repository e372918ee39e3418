//! How much memory there is.

use std::sync::LazyLock;

use sysinfo::System;

/// Asked for once: files are read many times.
static TOTAL: LazyLock<u64> = LazyLock::new(|| {
    let mut system = System::new();
    system.refresh_memory();
    match system.total_memory() {
        0 => u64::MAX,
        machine => system
            .cgroup_limits()
            .map_or(machine, |limits| limits.total_memory),
    }
});

/// Bytes of memory that this process may have: those of the machine, or of the container it is in; all there can be where the
/// system does not tell.
pub(crate) fn total() -> u64 {
    *TOTAL
}
