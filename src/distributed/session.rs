//! Sessions with a cluster, whose processes all know our functions.

use std::sync::Arc;

use ballista::prelude::{SessionConfigExt, SessionContextExt};
use ballista_core::object_store::{session_config_with_s3_support, session_state_with_s3_support};
use datafusion::common::Result as EngineResult;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;

use super::{ClusterError, assign, embed, function};

/// Bytes of a message unless `VMFMIX_MESSAGE_BYTES` says otherwise.
const MESSAGE_BYTES: usize = 256 << 20;

/// Bytes of a message besides the model.
pub(super) const MESSAGE_BYTES_BESIDES: usize = 1 << 20;

/// Rows that executors take at once: enough for all their threads.
pub(super) const BATCH_ROWS: usize = 1 << 16;

/// How large a message between processes may be.
pub(super) fn message_bytes() -> usize {
    let set = std::env::var("VMFMIX_MESSAGE_BYTES").ok();
    set.and_then(|bytes| bytes.parse().ok())
        .unwrap_or(MESSAGE_BYTES)
}

/// Threads for messages.
pub(super) fn runtime() -> Result<Runtime, ClusterError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Plans are walked recursively.
        .thread_stack_size(32 << 20)
        .build()
        .map_err(|cause| ClusterError::Runtime { cause })
}

/// The settings of a session.
pub(super) fn config() -> SessionConfig {
    session_config_with_s3_support()
        .with_batch_size(BATCH_ROWS)
        .with_ballista_grpc_client_max_message_size(message_bytes())
}

/// Our functions of a row.
pub(super) fn functions() -> [Arc<ScalarUDF>; 2] {
    [assign::assign(), embed::embed()]
}

/// A session's state, with our functions in it.
pub(super) fn state(config: SessionConfig) -> EngineResult<SessionState> {
    let state = session_state_with_s3_support(config)?;
    let mut aggregates: Vec<_> = state.aggregate_functions().values().cloned().collect();
    aggregates.push(function::statistics());
    let mut scalars: Vec<_> = state.scalar_functions().values().cloned().collect();
    scalars.extend(functions());
    let builder = SessionStateBuilder::new_from_existing(state);
    Ok(builder
        .with_aggregate_functions(aggregates)
        .with_scalar_functions(scalars)
        .build())
}

/// A session with the cluster of a scheduler.
pub(super) async fn remote(scheduler: &str) -> Result<SessionContext, ClusterError> {
    let doing = || ClusterError::while_doing(format!("connecting to the scheduler {scheduler}"));
    let state = state(config()).map_err(doing())?;
    let context = SessionContext::remote_with_state(scheduler, state).await;
    context.map_err(doing())
}

/// A session with a cluster inside this process.
pub(super) async fn standalone() -> Result<SessionContext, ClusterError> {
    let doing = || ClusterError::while_doing("starting a cluster in this process");
    let state = state(config()).map_err(doing())?;
    let context = SessionContext::standalone_with_state(state).await;
    context.map_err(doing())
}
