//! What the benches of whole stages share: the world they run on, and how a stage is measured.
//!
//! These are not micro benches: one run takes seconds to minutes, so each stage runs a few times in
//! one process and every run is a line of JSON. `benches/compare.py` takes the middle one.

#![allow(dead_code, reason = "each bench uses a part of this")]
#![expect(clippy::print_stdout, reason = "a bench prints its measures")]

use std::error::Error;
use std::fs;
use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Instant;

use datafusion::prelude::DataFrame;
use serde_json::json;
use trueup::config::{Config, Overrides, environment};
use trueup::derive;
use trueup::export::{self, Progress, TableReport};
use trueup::lake::{Lake, TABLES, TableDef, table};
use trueup::model::Run;
use trueup::session::{Pinned, Resources, Sessions};

/// Any failure ends a bench.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FOLDER: &str = "TRUEUP_BENCH_WORLD";
const RUNS: &str = "TRUEUP_BENCH_RUNS";

/// Runs a bench on a runtime like the program's own.
pub(crate) fn run(bench: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Deep plans recurse.
        .thread_stack_size(8 * 1024 * 1024)
        .build()?;
    runtime.block_on(bench)
}

/// A world made by `benches/world.py`, and the lake inside its folder.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) lake: Lake,
    pub(crate) sessions: Sessions,
    pub(crate) run: Run,
    /// How often each stage runs.
    pub(crate) runs: usize,
    folder: PathBuf,
}

impl World {
    /// The world that the environment or the first free argument names; `None` after saying how to
    /// make one.
    pub(crate) async fn open() -> Result<Option<Self>> {
        let read = environment();
        let argument = || {
            std::env::args()
                .skip(1)
                .find(|argument| !argument.starts_with('-'))
        };
        let named = read(FOLDER)
            .filter(|folder| !folder.is_empty())
            .or_else(argument);
        let Some(folder) = named else {
            println!(
                "no world: python benches/world.py --records 2000000 --out DIR, then {FOLDER}=DIR"
            );
            return Ok(None);
        };
        let folder = fs::canonicalize(folder)?;
        // The environment must not lead the bench to a lake outside of its world.
        let nothing = |_: &str| None;
        let config = Config::load(
            Some(&folder.join("trueup.toml")),
            &Overrides::default(),
            &nothing,
        )?;
        let as_of = config.as_of.ok_or("the world's trueup.toml has no as_of")?;
        let resources = Resources {
            memory: config.engine.memory,
            threads: config.engine.threads,
        };
        Ok(Some(Self {
            lake: Lake::open(&config.lake.url).await?,
            sessions: Sessions::new(resources)?,
            run: Run::new("bench", as_of, String::new(), String::new()),
            runs: read(RUNS).map_or(Ok(3), |runs| runs.parse::<usize>())?,
            config,
            folder,
        }))
    }

    /// Deletes the lake, or one folder of it.
    pub(crate) fn clear(&self, zone: &str) -> Result<()> {
        let lake = self
            .config
            .lake
            .url
            .to_file_path()
            .map_err(|()| "the lake is no folder")?;
        if !lake.starts_with(&self.folder) || lake == self.folder {
            return Err(format!("{} is not inside the world", lake.display()).into());
        }
        match fs::remove_dir_all(lake.join(zone)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Exports what changed in every source.
    pub(crate) async fn export(&self, run: &Run) -> Result<export::Report> {
        let request = export::Request {
            lake: &self.lake,
            sessions: &self.sessions,
            run,
            sources: self.config.sources.iter().collect(),
            table: None,
            full: false,
        };
        let report = export::export(&request, &Silent).await?;
        if report.has_failures() {
            return Err(format!("the export failed: {report:?}").into());
        }
        Ok(report)
    }

    /// Brings the lake to where the rules can run, doing only what is not done yet.
    pub(crate) async fn prepare(&self) -> Result<()> {
        if self
            .lake
            .existing(defined("usage_records")?)
            .await?
            .is_none()
        {
            self.export(&self.run).await?;
        }
        derive::refresh(&self.lake, &self.sessions, &self.run.id).await?;
        Ok(())
    }

    /// A query over the lake as it is now.
    pub(crate) async fn query(&self, sql: &str) -> Result<DataFrame> {
        let ctx = self.sessions.session();
        Pinned::new(&self.lake, &ctx, TABLES.iter())
            .await?
            .register(&ctx)?;
        Ok(ctx.sql(sql).await?)
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> Result<usize> {
        Ok(self
            .query(&format!("select * from {table}"))
            .await?
            .count()
            .await?)
    }
}

/// The table of that name.
pub(crate) fn defined(name: &'static str) -> Result<&'static TableDef> {
    table(name).ok_or_else(|| format!("table {name} is not declared").into())
}

/// What a stage has cost so far.
pub(crate) struct Clock {
    wall: Instant,
    cpu: Option<f64>,
}

/// What a stage cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: Option<f64>,
}

impl Clock {
    /// Starts; the peak of memory starts again where the system allows that.
    pub(crate) fn start() -> Self {
        // Linux forgets the peak on this word; elsewhere the peak is not reported anyway.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self {
            wall: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    /// Stops and prints the measure. `check` is what DuckDB must agree with.
    pub(crate) fn stop(
        self,
        bench: &str,
        records: usize,
        rows: usize,
        check: Option<String>,
    ) -> Cost {
        let cost = self.cost();
        print(&json!({
            "engine": "trueup",
            "bench": bench,
            "records": records,
            "wall_s": rounded(cost.wall),
            "cpu_s": cost.cpu.map(rounded),
            "peak_rss_mb": peak_memory().map(|bytes| bytes / 1024 / 1024),
            "rows": rows,
            "check": check,
        }));
        cost
    }

    /// Stops without a word: rows and records can be counted before they are printed.
    pub(crate) fn cost(&self) -> Cost {
        let cpu = self
            .cpu
            .zip(cpu_seconds())
            .map(|(before, now)| now - before);
        Cost {
            wall: self.wall.elapsed().as_secs_f64(),
            cpu,
        }
    }
}

/// Prints one line.
pub(crate) fn print(line: &serde_json::Value) {
    println!("{line}");
}

/// To the millisecond.
pub(crate) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// User and system time of all threads; `None` where there is no `/proc`.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in brackets, may hold blanks: fields are counted after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    // Linux tells these in hundredths of a second on every platform we build for.
    Some((f64::from(user) + f64::from(system)) / 100.0)
}

/// The most memory held since the clock started.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

struct Silent;

impl Progress for Silent {
    fn table_started(&self, _source: &str, _table: &str, _files: usize, _bytes: u64) {}
    fn file_read(&self, _bytes: u64) {}
    fn table_finished(&self, _report: &TableReport) {}
}
