//! `trueup run`: the nightly job.

use chrono::{DateTime, Utc};

use super::args::{Global, RunArgs};
use super::context::{Context, configuration, rules};
use super::detect::{Scope, judge, preflight};
use super::export::{enter, export_all, roll_up, tell, warn};
use super::progress::Bars;
use super::record::{failures, or_failed};
use super::summary::{exit, print};
use super::{Exit, Failure};

pub(super) async fn run(
    global: &Global,
    args: &RunArgs,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
    let config = configuration(global)?;
    if config.sources.is_empty() {
        let reason =
            "no source is configured; `trueup init NAME=PATH` writes a configuration with one";
        return Err(Failure::new(Exit::Usage, reason));
    }
    let set = rules(&config).await?;
    let context = Context::open(config, now).await?;
    // A rule that cannot run is found before anything is read.
    preflight(&context, &set).await?;
    let run = context.run("run", &set);
    let bars = Bars::new(global);
    let work = async {
        let mut report = export_all(&context, &run, (None, None), args.full, &bars).await?;
        // Before the rollup, which may fail: what was exported is done.
        warn(&report);
        tell(&report);
        let refreshed = roll_up(&context, &run, None).await?;
        enter(&mut report, &refreshed.failed);
        let scope = Scope {
            rules: &[],
            source: None,
        };
        let outcome = judge(&context, &run, &set, scope, failures(&report), &bars).await?;
        Ok::<_, Failure>((report, refreshed, outcome))
    };
    let (report, refreshed, outcome) = or_failed(&context, &run, work).await?;
    print(global, &run, &outcome, Some((&report, &refreshed)))?;
    Ok(exit(&outcome, args.fail_on))
}
