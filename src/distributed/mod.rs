//! The same EM on a cluster: Apache DataFusion Ballista schedules, retries and reads; ours is the pass over the rows.
//!
//! ```text
//! here                       scheduler                executors
//! model, 8 K D bytes  ──▶    tasks             ──▶    vmf_statistics over files or parts of them, by the kernel of `mixture`
//! statistics          ◀──    ─────────────────────    8 K D bytes a task, merged by one last task
//! ```
//!
//! [`ClusterTable`] is the [`Observations`](crate::mixture::Observations) of Parquet files that all executors can read; the
//! EM loop does not know that they are elsewhere. After each pass the total weight of the statistics must be the number of
//! rows: a task that was repeated because its executor died counts once, or the fit ends with an error.
//!
//! | file | what it is |
//! |---|---|
//! | `table`, `files` | the observations, and the files they are in |
//! | `cluster_files`, `each_file` | embeddings and assignments, one task a file |
//! | `function`, `assign`, `embed` | the functions that executors run: statistics of a model, assignments by one, embeddings |
//! | `rows` | columns of lists as matrices, without a copy |
//! | `wire` | models and statistics as bytes |
//! | `session`, `process` | sessions with a cluster; its scheduler and executors |
//!
//! # What a pass costs
//! With `N` rows of `D` numbers in `f32`, `K` components, `T` tasks at a time on as many cores:
//!
//! | | bytes | measured rate | `N` = 1e8, `D` = 768, `K` = 256 on 16 and 64 executors of 16 cores |
//! |---|---|---|---|
//! | reading and decoding lists | `4 N D` | 0.26 GB/s a core | 4.6 s, 1.2 s |
//! | the network, from object storage | `4 N D` | 1.25 GB/s an executor (10 Gb/s, assumed) | 15 s, 3.8 s |
//! | the kernel | none | 277 thousand rows/s a core | 1.4 s, 0.4 s |
//! | models out, statistics back | `16 K D T` | 1 GB/s (assumed), the statistics into one last task | 0.8 s, 3.2 s |
//!
//! The first rate is from 2,000,000 x 256 in files compressed by zstd, where a pass takes 3.9 s on two cores whatever `K` is up
//! to 16: lists are decoded number by number, every time. What grows with `T` is the last line: for `K` = 256 more than some
//! 600 cores gain nothing, for `K` = 4096, where a model takes 25 MB, more than some 400. Fewer, larger files make fewer
//! tasks. Online EM over mini-batches (`FitWith`) reads the share of the rows that a step needs: ten steps over a hundredth
//! each cost a tenth of a pass.
//!
//! # How exact it is
//! A pass gives the statistics of the same rows in memory to 1e-14 of their weight where blocks are the same
//! ([`ClusterTable::block_size`]); parts are added in the order in which they arrive. A fit to `f64` rows is that in memory to
//! 1e-10. The kernel rounds means to the precision of the rows, so that after some iterations over `f32` rows the last places
//! of two fits may differ by 1e-8.
//!
//! # What is protected
//! Nothing by itself: Ballista's ports know no passwords and are not encrypted unless its documents on TLS and authentication are
//! followed, so everything listens on the loopback address until told otherwise. Whoever reaches a port can run queries and
//! read what the processes can read: keep them in a network of their own.

mod assign;
mod cluster_files;
mod each_file;
mod embed;
mod errors;
mod files;
mod function;
mod process;
mod rows;
mod session;
mod table;
mod wire;

pub use cluster_files::ClusterFiles;
pub use embed::EmbedSettings;
pub use errors::ClusterError;
pub use process::{ExecutorSettings, SchedulerSettings, run_executor, run_scheduler};
pub use table::ClusterTable;
