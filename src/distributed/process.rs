//! Ballista's own processes, with our functions registered.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::object_store::runtime_env_with_s3_support;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;

use super::session::{config, message_bytes, runtime, state};
use super::{ClusterError, function, session};

/// Settings of a scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Seconds of silence after which an executor counts as lost.
    pub executor_timeout: u64,
}

/// Settings of an executor.
#[derive(Clone, Debug)]
pub struct ExecutorSettings {
    /// Host and port of the scheduler.
    pub scheduler: (String, u16),
    /// Where it listens for other executors; the port after it is for the scheduler.
    pub bind: SocketAddr,
    /// The name by which others reach it; where it listens if there is none.
    pub external_host: Option<String>,
    /// Tasks at a time.
    pub tasks: usize,
    /// Where it keeps what goes from one stage to the next.
    pub work_dir: Option<String>,
}

/// Runs a scheduler until it is stopped.
///
/// # Errors
/// [`ClusterError::Runtime`], [`ClusterError::Process`].
pub fn run_scheduler(settings: &SchedulerSettings) -> Result<(), ClusterError> {
    let bytes = message_bytes() as u32;
    let config = SchedulerConfig {
        bind_host: settings.bind.ip().to_string(),
        bind_port: settings.bind.port(),
        external_host: settings.bind.ip().to_string(),
        executor_timeout_seconds: settings.executor_timeout,
        expire_dead_executor_interval_seconds: (settings.executor_timeout / 4).max(1),
        no_executors_grace_period_seconds: 2 * settings.executor_timeout,
        grpc_server_max_decoding_message_size: bytes,
        grpc_server_max_encoding_message_size: bytes,
        grpc_client_max_message_size: bytes,
        override_config_producer: Some(Arc::new(config)),
        override_session_builder: Some(Arc::new(state)),
        ..SchedulerConfig::default()
    };
    let run = async {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        start_server(cluster, settings.bind, Arc::new(config)).await
    };
    runtime()?.block_on(run).map_err(ended("scheduler"))
}

/// Runs an executor until it is stopped.
///
/// # Errors
/// [`ClusterError::Runtime`], [`ClusterError::Process`].
pub fn run_executor(settings: &ExecutorSettings) -> Result<(), ClusterError> {
    let bytes = message_bytes() as u32;
    let mut functions = BallistaFunctionRegistry::default();
    let statistics = function::statistics();
    let name = statistics.name().to_owned();
    functions.aggregate_functions.insert(name, statistics);
    for of_rows in session::functions() {
        let name = of_rows.name().to_owned();
        functions.scalar_functions.insert(name, of_rows);
    }
    let (scheduler_host, scheduler_port) = settings.scheduler.clone();
    let config = ExecutorProcessConfig {
        bind_host: settings.bind.ip().to_string(),
        external_host: settings.external_host.clone(),
        port: settings.bind.port(),
        grpc_port: settings.bind.port() + 1,
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: 30,
        vcores: settings.tasks,
        work_dir: settings.work_dir.clone(),
        executor_heartbeat_interval_seconds: 5,
        grpc_max_decoding_message_size: bytes,
        grpc_max_encoding_message_size: bytes,
        override_function_registry: Some(Arc::new(functions)),
        override_config_producer: Some(Arc::new(config)),
        override_runtime_producer: Some(Arc::new(runtime_env_with_s3_support)),
        ..ExecutorProcessConfig::default()
    };
    let run = start_executor_process(Arc::new(config));
    runtime()?.block_on(run).map_err(ended("executor"))
}

fn ended(
    process: &'static str,
) -> impl FnOnce(ballista_core::error::BallistaError) -> ClusterError {
    move |cause| ClusterError::Process {
        process,
        cause: cause.to_string(),
    }
}
