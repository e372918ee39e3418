//! The same EM on a cluster: Apache DataFusion Ballista schedules, retries and reads; ours is the pass over the rows.
//!
//! ```text
//! here                       scheduler                executors
//! model, 8 K D bytes  ──▶    one task a file   ──▶    vmf_statistics over the file's rows, by the kernel of `mixture`
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
//! | `items`, `each_file` | items to embed; one task a file |
//! | `function`, `assign`, `embed` | the functions that executors run: statistics of a model, assignments by one, embeddings |
//! | `rows` | columns of lists as matrices, without a copy |
//! | `wire` | models and statistics as bytes |
//! | `session`, `process` | sessions with a cluster; its scheduler and executors |
//!
//! # What is protected
//! Nothing by itself: Ballista's ports know no passwords and are not encrypted unless its documents on TLS and authentication are
//! followed, so everything listens on the loopback address until told otherwise. Whoever reaches a port can run queries and
//! read what the processes can read: keep them in a network of their own.

mod assign;
mod each_file;
mod embed;
mod errors;
mod files;
mod function;
mod items;
mod process;
mod rows;
mod session;
mod table;
mod wire;

pub use embed::EmbedSettings;
pub use errors::ClusterError;
pub use items::ClusterItems;
pub use process::{ExecutorSettings, SchedulerSettings, run_executor, run_scheduler};
pub use table::ClusterTable;
