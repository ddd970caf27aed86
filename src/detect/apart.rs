//! A query that failed, asked again source by source: bad data of one source must not keep the
//! others from being judged.
//!
//! A filter on the answer would come too late, as the error arises on the way to it: each source
//! gets tables that hold no rows but its own and those of the sources it is compared with. So rows
//! of a source that the configuration no longer has do not count against the others either.

use std::slice::from_ref;

use super::evaluate::{Answer, ask, enter, first_line, window};
use super::world::World;
use super::{DetectError, Request, RuleOutcome, widest_window};
use crate::config::{Role, Source};
use crate::rules::Rule;
use crate::session::Workers;

/// Judges each of these sources by itself.
pub(super) async fn judge(
    request: &Request<'_>,
    workers: &Workers,
    world: &World,
    judged: &[String],
    outcome: &mut RuleOutcome<'_>,
) -> Result<(), DetectError> {
    let rule = outcome.rule;
    for source in judged {
        let answer = match world_of(request, world, rule, source).await {
            Ok(world) => ask(request, workers, &world, rule, from_ref(source)).await,
            Err(error) => Answer::Failed(reason(&error)),
        };
        enter(answer, from_ref(source), outcome);
    }
    Ok(())
}

/// What the rule sees when it judges this source alone.
async fn world_of(
    request: &Request<'_>,
    world: &World,
    rule: &Rule,
    source: &str,
) -> Result<World, DetectError> {
    let visible = visible(rule, source, request.sources);
    let world = world.of_sources(request.sessions, &visible).await?;
    let as_of = request.run.as_of;
    let views = request.rules.views_behind(rule);
    let widest = widest_window(request.selected(), as_of);
    world.define_views(&views, as_of, widest).await?;
    world
        .define_window(&views, as_of, window(rule, as_of))
        .await?;
    Ok(world)
}

/// The source and those that it is compared with: what metered it, and the rule's partners.
fn visible<'s>(rule: &Rule, judged: &'s str, sources: &'s [Source]) -> Vec<&'s str> {
    let is_billing = sources
        .iter()
        .any(|source| source.name == judged && source.role == Role::Billing);
    let others = sources.iter().filter(|source| {
        source.name != judged
            && (rule.partner == Some(source.role) || is_billing && source.role == Role::Metering)
    });
    std::iter::once(judged)
        .chain(others.map(|source| source.name.as_str()))
        .collect()
}

fn reason(error: &DetectError) -> String {
    match error {
        DetectError::View { source, .. } | DetectError::Session { source, .. } => {
            format!("{error}: {}", first_line(source))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use url::Url;

    use super::*;
    use crate::config::SourceKind;

    fn source(name: &str, role: Role) -> Source {
        Source {
            name: name.to_owned(),
            kind: SourceKind::Files,
            role,
            platform: "files".to_owned(),
            path: Url::parse("memory:///").unwrap(),
            tables: BTreeMap::new(),
            without: Vec::new(),
        }
    }

    #[test]
    fn a_source_is_seen_with_those_it_is_compared_with() {
        let sources = [
            source("east", Role::Billing),
            source("west", Role::Billing),
            source("events", Role::Metering),
            source("probes", Role::Metering),
        ];
        let rules = crate::rules::embedded().unwrap();
        let mut rule = rules.rule("usage-mismatch").unwrap().clone();
        let seen = |rule: &Rule, judged| visible(rule, judged, &sources);
        assert_eq!(seen(&rule, "east"), ["east", "events", "probes"]);
        assert_eq!(seen(&rule, "events"), ["events", "probes"]);
        rule.partner = None;
        assert_eq!(seen(&rule, "west"), ["west", "events", "probes"]);
        assert_eq!(seen(&rule, "probes"), ["probes"]);
        rule.partner = Some(Role::Billing);
        assert_eq!(seen(&rule, "probes"), ["probes", "east", "west"]);
    }
}
