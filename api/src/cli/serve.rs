//! `annals serve`, `annals api` and `annals worker`

use std::{io::Write, net::TcpListener, sync::Arc};

use actix_web::{dev::Server, web::Data};
use anyhow::Context;
use clap::Args;
use infrastructure::growth_channel;
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::service_config::ServiceConfig;

use super::demo::{self, Demo};
use crate::{
    annals::{Annals, Postgres},
    config::Config,
    http::{
        metrics::Metrics,
        server::{self, Settings},
    },
    routes, work,
};

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Come with a demo tenant, and say how to use it. Its passwords are known to everybody.
    #[arg(long)]
    demo: bool,
}

/// The API and the workers, in one process.
pub(super) async fn serve(config: Config, args: ServeArgs) -> anyhow::Result<()> {
    run(config, Parts { api: true, worker: true, demo: args.demo }).await
}

/// The API alone.
pub(super) async fn api(config: Config) -> anyhow::Result<()> {
    run(config, Parts { api: true, worker: false, demo: false }).await
}

/// The workers alone.
pub(super) async fn worker(config: Config) -> anyhow::Result<()> {
    run(config, Parts { api: false, worker: true, demo: false }).await
}

/// What a process does.
struct Parts {
    api: bool,
    worker: bool,
    demo: bool,
}

async fn run(config: Config, parts: Parts) -> anyhow::Result<()> {
    // From here on a signal is a wish to stop in order, also while the database starts.
    let stop = stop_on_signal()?;
    let postgres = Postgres::start(&config).await?;
    let result = with_postgres(config, parts, &postgres, stop).await;
    postgres.stop().await;
    result
}

async fn with_postgres(
    config: Config,
    parts: Parts,
    postgres: &Postgres,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let annals = Annals::start(config, postgres).await?;
    let demo = match parts.demo {
        true => Some(demo::prepare(&annals.app, &annals.config.data_dir).await?),
        false => None,
    };
    let workers = match parts.worker {
        true => Some(work::start(Arc::clone(&annals), stop.clone()).await?),
        false => None,
    };
    if !parts.worker {
        tokio::spawn(growth_channel::publish(annals.database.clone(), annals.growth.clone()));
    }
    if parts.api {
        let server = serve_http(&annals)?;
        let (handle, serving) = (server.handle(), tokio::spawn(server));
        announce(&annals.config, demo.as_ref())?;
        stop.cancelled().await;
        handle.stop(true).await;
        serving.await??;
    } else {
        tracing::info!("working");
        stop.cancelled().await;
    }
    if let Some(workers) = workers {
        workers.finish().await;
    }
    annals.database.close().await;
    Ok(())
}

fn serve_http(annals: &Arc<Annals>) -> anyhow::Result<Server> {
    let metrics = Metrics::install()?;
    tokio::spawn(metrics.clone().keep_up());
    let bind = annals.config.bind;
    let listener = TcpListener::bind(bind).with_context(|| format!("can't serve on {bind} (ANNALS_BIND)"))?;
    let (annals, metrics) = (Data::from(Arc::clone(annals)), Data::new(metrics));
    let features = move |config: &mut ServiceConfig| routes::all(config, annals.clone(), metrics.clone());
    Ok(server::serve(listener, &Settings::default(), features)?)
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stopping.cancel();
    });
    Ok(stop)
}

/// Prints the OpenAPI document.
pub(super) fn print_openapi() -> anyhow::Result<()> {
    let document = server::document(routes::services);
    writeln!(std::io::stdout().lock(), "{}", document.to_pretty_json()?)?;
    Ok(())
}

fn announce(config: &Config, demo: Option<&Demo>) -> std::io::Result<()> {
    let url = config.public_url();
    let mut out = std::io::stdout().lock();
    writeln!(out, "Annals is ready at {url}")?;
    writeln!(out, "  docs      {url}/docs")?;
    if config.smtp_url.is_none() {
        writeln!(out, "  mails     {}", config.data_dir.join("mail").display())?;
    }
    if let Some(demo) = demo {
        writeln!(out, "  tenant    {}", demo.tenant)?;
        writeln!(out, "  project   {}", demo.project)?;
        writeln!(out, "  owner     {} / {}", demo::OWNER, demo::PASSWORD)?;
        writeln!(out, "  member    {} / {}", demo::MEMBER, demo::PASSWORD)?;
        writeln!(out, "  API key   {}", demo.api_key)?;
    }
    writeln!(out, "Ctrl-C stops everything.")
}
