//! The `.toml` of a rule: what it may say, and its reading into a checked [`Rule`].
//!
//! All wrong values of a file are reported at once; a wrong shape (an unknown or a missing key, a
//! value of another type) ends the reading, because nothing behind it can be trusted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::error::{Problem, RuleError, line_of};
use super::need::Need;
use super::param::{Param, ParamKind};
use super::rule::{
    CATEGORIES, Escalate, Explain, ROOT_CAUSES, Rule, Stage, Status, Step, TARGETS, Trigger,
};
use super::schedule::Schedule;
use super::template;
use crate::config::Role;
use crate::model::span::parse_span;
use crate::model::text::nearest;
use crate::model::{Decimal, Severity};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    title: String,
    description: String,
    version: Option<u32>,
    status: Spanned<String>,
    category: Spanned<String>,
    stage: Spanned<String>,
    severity: Spanned<String>,
    owner: String,
    platforms: Option<Vec<String>>,
    roles: Option<Vec<Spanned<String>>>,
    partner: Option<Spanned<String>>,
    reads: Vec<String>,
    may_lack: Option<Vec<String>>,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    #[serde(default)]
    concerns: Vec<Spanned<String>>,
    schedule: Spanned<String>,
    window: Spanned<String>,
    settle: Option<Spanned<String>>,
    explain: Option<Spanned<String>>,
    group_by: Vec<String>,
    max_staleness: Option<Spanned<String>>,
    #[serde(default)]
    quiet_when: Vec<String>,
    #[serde(default)]
    known_gaps: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, RawParam>,
    #[serde(default)]
    trigger: RawTrigger,
    #[serde(default)]
    escalate: RawEscalate,
    #[serde(default)]
    remediation: Vec<RawStep>,
    resolve_after_runs: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParam {
    #[serde(rename = "type")]
    kind: Spanned<String>,
    default: Spanned<toml::Value>,
    help: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    min_entities: Option<u64>,
    min_impact: Option<Spanned<toml::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEscalate {
    critical_impact: Option<Spanned<toml::Value>>,
    high_impact: Option<Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    when: Option<String>,
    root_cause: Option<Spanned<String>>,
    target: Spanned<String>,
    action: String,
    check: String,
    why: String,
    outcome: String,
}

/// What a rule is made of besides its metadata.
pub(super) struct Texts {
    /// The stem of the files.
    pub(super) id: String,
    /// The `.sql` text.
    pub(super) sql: String,
    /// The `.sql` file.
    pub(super) sql_origin: String,
    /// The `.slt` text.
    pub(super) cases: Option<String>,
}

/// Reads the metadata `text` of `file` and joins it with the other texts of the rule.
pub(super) fn read(file: &str, text: &str, texts: Texts) -> Result<Rule, Vec<RuleError>> {
    let raw: RawRule =
        toml::from_str(text).map_err(|error| vec![RuleError::of_toml(file, text, &error)])?;
    let mut reader = Reader {
        file,
        text,
        errors: Vec::new(),
    };
    let rule = reader.rule(raw, texts);
    match rule {
        Some(rule) if reader.errors.is_empty() => Ok(rule),
        _ => Err(reader.errors),
    }
}

/// Turns raw values into checked ones and keeps what is wrong with them. A method that returns
/// `None` for a value that is present has recorded why.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<RuleError>,
}

impl Reader<'_> {
    fn rule(&mut self, raw: RawRule, texts: Texts) -> Option<Rule> {
        let status = self.word(
            "status",
            &raw.status,
            Status::ALL.iter().map(|s| s.as_str()),
        );
        let stage = self.word("stage", &raw.stage, Stage::ALL.iter().map(|s| s.as_str()));
        let severities = Severity::ALL.into_iter().map(Severity::as_str);
        let severity = self.word("severity", &raw.severity, severities);
        let category = self.word("category", &raw.category, CATEGORIES.iter().copied());
        let roles = match &raw.roles {
            Some(roles) => roles
                .iter()
                .filter_map(|role| self.role("roles", role))
                .collect(),
            None => vec![Role::Billing],
        };
        let partner = raw
            .partner
            .as_ref()
            .and_then(|role| self.role("partner", role));
        let explain = raw.explain.as_ref().and_then(|explain| {
            let known = Explain::ALL.iter().map(|what| what.as_str());
            self.word("explain", explain, known)
                .and_then(Explain::named)
        });
        let needs = self.needs("needs", &raw.needs, &raw.reads);
        let concerns = self.needs("concerns", &raw.concerns, &raw.reads);
        if let Err(error) = Schedule::parse(raw.schedule.get_ref()) {
            self.fail("schedule", raw.schedule.span(), error.into());
        }
        let window = self.span("window", &raw.window);
        let settle = raw
            .settle
            .as_ref()
            .map(|settle| self.span("settle", settle));
        let max_staleness = raw
            .max_staleness
            .as_ref()
            .map(|age| self.span("max_staleness", age));
        let trigger = self.trigger(&raw.trigger);
        let escalate = self.escalate(&raw.escalate);
        let params = self.params(raw.params);
        let remediation = raw
            .remediation
            .into_iter()
            .filter_map(|step| self.step(step))
            .collect();
        Some(Rule {
            id: texts.id,
            version: raw.version.unwrap_or(1),
            sql: texts.sql,
            sql_origin: texts.sql_origin,
            cases: texts.cases,
            title: raw.title,
            description: raw.description,
            status: status.and_then(Status::named)?,
            category: category?.to_owned(),
            stage: stage.and_then(Stage::named)?,
            severity: severity?.parse().ok()?,
            owner: raw.owner,
            platforms: raw.platforms.unwrap_or_else(|| vec!["*".to_owned()]),
            roles,
            partner,
            reads: raw.reads,
            may_lack: raw.may_lack.unwrap_or_default(),
            needs,
            concerns,
            schedule: raw.schedule.into_inner(),
            window: window?,
            settle: settle.unwrap_or(Some(Duration::ZERO))?,
            explain,
            group_by: raw.group_by,
            max_staleness: max_staleness.flatten(),
            quiet_when: raw.quiet_when,
            known_gaps: raw.known_gaps,
            references: raw.references,
            params,
            trigger,
            escalate,
            remediation,
            resolve_after_runs: raw.resolve_after_runs.unwrap_or(2),
        })
    }

    fn fail(&mut self, key: &str, span: Range<usize>, problem: Problem) {
        let line = line_of(self.text, &span);
        self.errors.push(
            RuleError::of(self.file, problem)
                .at_key(key)
                .at_line(Some(line)),
        );
    }

    /// The word, if it is one of the known ones. The key's last part says what kind of word it is.
    fn word<'w>(
        &mut self,
        key: &'static str,
        raw: &'w Spanned<String>,
        known: impl Iterator<Item = &'static str> + Clone,
    ) -> Option<&'w str> {
        let word = raw.get_ref().as_str();
        if known.clone().any(|candidate| candidate == word) {
            return Some(word);
        }
        let nearest = nearest(word, known).map(str::to_owned);
        let what = key.rsplit('.').next().unwrap_or(key);
        self.fail(
            key,
            raw.span(),
            Problem::UnknownWord {
                what,
                word: word.to_owned(),
                nearest,
            },
        );
        None
    }

    fn role(&mut self, key: &'static str, raw: &Spanned<String>) -> Option<Role> {
        let word = self.word(key, raw, Role::ALL.iter().map(|role| role.as_str()))?;
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }

    fn needs(&mut self, key: &str, raw: &[Spanned<String>], reads: &[String]) -> Vec<Need> {
        let mut needs = Vec::new();
        for raw in raw {
            let read = Need::parse(raw.get_ref()).and_then(|need| match need.outside(reads) {
                None => Ok(need),
                Some(column) => Err(Problem::BadValue {
                    value: column.to_string(),
                    expected: "a column of a table that `reads` names",
                }),
            });
            match read {
                Ok(need) => needs.push(need),
                Err(problem) => self.fail(key, raw.span(), problem),
            }
        }
        needs
    }

    fn span(&mut self, key: &str, raw: &Spanned<String>) -> Option<Duration> {
        let span = parse_span(raw.get_ref()).ok();
        if span.is_none() {
            let value = raw.get_ref().clone();
            let expected = ParamKind::Duration.expected();
            self.fail(key, raw.span(), Problem::BadValue { value, expected });
        }
        span
    }

    fn decimal(&mut self, key: &str, raw: &Spanned<toml::Value>) -> Option<Decimal> {
        let decimal = match raw.get_ref() {
            toml::Value::String(text) => text.parse().ok(),
            toml::Value::Integer(whole) => Some(Decimal::from_i64(*whole)),
            _ => None,
        };
        if decimal.is_none() {
            self.bad_value(key, raw, ParamKind::Decimal.expected());
        }
        decimal
    }

    fn bad_value(&mut self, key: &str, raw: &Spanned<toml::Value>, expected: &'static str) {
        let value = match raw.get_ref() {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.fail(key, raw.span(), Problem::BadValue { value, expected });
    }

    fn trigger(&mut self, raw: &RawTrigger) -> Trigger {
        let impact = raw.min_impact.as_ref();
        Trigger {
            min_entities: raw.min_entities.unwrap_or(1),
            min_impact: impact
                .and_then(|impact| self.decimal("trigger.min_impact", impact))
                .unwrap_or_default(),
        }
    }

    fn escalate(&mut self, raw: &RawEscalate) -> Escalate {
        let mut amount = |key: &str, raw: &Option<Spanned<toml::Value>>| {
            raw.as_ref().and_then(|raw| self.decimal(key, raw))
        };
        Escalate {
            critical_impact: amount("escalate.critical_impact", &raw.critical_impact),
            high_impact: amount("escalate.high_impact", &raw.high_impact),
        }
    }

    fn params(&mut self, raw: BTreeMap<String, RawParam>) -> BTreeMap<String, Param> {
        let mut params = BTreeMap::new();
        for (name, raw) in raw {
            if !template::is_name(&name) {
                let problem = Problem::BadValue {
                    value: name.clone(),
                    expected: "a lower-case name",
                };
                self.fail("params", raw.kind.span(), problem);
            }
            let kinds = ParamKind::ALL.iter().map(|kind| kind.as_str());
            let kind = self
                .word("params.type", &raw.kind, kinds)
                .and_then(ParamKind::named);
            let Some(kind) = kind else { continue };
            match kind.of_toml(raw.default.get_ref()) {
                Some(default) => {
                    let value = default.clone();
                    params.insert(
                        name,
                        Param {
                            kind,
                            default,
                            value,
                            help: raw.help,
                        },
                    );
                }
                None => {
                    self.bad_value(&format!("params.{name}"), &raw.default, kind.expected());
                }
            }
        }
        params
    }

    fn step(&mut self, raw: RawStep) -> Option<Step> {
        let target = self.word("remediation.target", &raw.target, TARGETS.iter().copied());
        let target = target.map(str::to_owned);
        let root_cause = match &raw.root_cause {
            Some(cause) => {
                let known = ROOT_CAUSES.iter().copied();
                self.word("remediation.root_cause", cause, known)
                    .map(str::to_owned)
            }
            None => None,
        };
        Some(Step {
            when: raw.when,
            root_cause,
            target: target?,
            action: raw.action,
            check: raw.check,
            why: raw.why,
            outcome: raw.outcome,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
