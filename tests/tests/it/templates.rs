//! No template takes others down: what could is refused at once, and what is accepted is cheap, all of a workspace's
//! together.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::join_all;
use tests::api::{Api, reason_of};
use tests::notices::{deliveries, open_ticket, put_rule, put_workspace, workspace_in};
use tests::stack::Stack;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What took a processor for ever, or seconds at every event, and the other ways to the same.
const ATTACKS: [&str; 12] = [
    "{% if [[[[1]*900]*900]*900]*900==[[[[1]*900]*900]*900]*900 %}{% endif %}",
    "{% if [[1]*6000]*6000 == [[1]*6000]*6000 %}{% endif %}",
    "{% if event.tags == event.tags %}{% endif %}",
    "{{ 'x' * 1000000000 }}",
    "{% for a in range(1000000000) %}{% endfor %}",
    "{% for a in event.tags %}{% for b in event.tags %}{{ b }}{% endfor %}{% endfor %}",
    "{% for a in event.tags %}{{ event.subject | replace('', event.subject) | upper }}{% endfor %}",
    "{% set x = 'x' * 9000 %}{{ x ~ x }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ 9 ** 9 ** 9 }}",
    "{% include 'x' %}",
    "{{ event.subject | batch(1) }}",
];

/// As deep as its length lets it be.
fn nested() -> [String; 3] {
    [
        format!("{{{{ {}1{} }}}}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(4_000)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(300)),
    ]
}

fn is_refused(status: &Status) -> anyhow::Result<()> {
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    ensure!(reason_of(status) == "TEMPLATE_INVALID", "{status:?}");
    let details = status.get_error_details();
    let fields = details.bad_request().context("no field")?;
    ensure!(fields.field_violations.iter().all(|it| it.field == "rule.template"), "{fields:?}");
    let info = details.error_info().context("no reason")?;
    let place = info.metadata.get("template_error").context("no error")?;
    ensure!(place.starts_with("line 1, column "), "{place}");
    Ok(())
}

/// How long the slowest of a few calls of another caller takes.
async fn slowest(api: &Api, workspace: &str) -> anyhow::Result<Duration> {
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let begun = Instant::now();
        put_rule(api, workspace, "tell", None, &format!("{number}: {{{{ ticket.number }}}}"))
            .await?;
        deliveries(api, workspace).await?;
        slowest = slowest.max(begun.elapsed());
    }
    Ok(slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_that_took_a_processor_for_ever_are_refused_while_others_are_served()
-> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    let (enemy, other) = (workspace_in(0, "enemy"), workspace_in(0, "other"));
    put_workspace(&api, &enemy).await?;
    put_workspace(&api, &other).await?;
    let quiet = slowest(&api, &other).await?;
    let attack = async {
        let mut longest = Duration::ZERO;
        for _ in 0..5 {
            let sources = ATTACKS.map(str::to_owned).into_iter().chain(nested());
            let all = sources.map(|source| {
                let (api, enemy) = (&api, &enemy);
                async move {
                    let begun = Instant::now();
                    let refused = put_rule(api, enemy, "attack", None, &source).await;
                    let refused = refused.err().with_context(|| format!("taken: {source}"))?;
                    is_refused(&refused).context(source)?;
                    anyhow::Ok(begun.elapsed())
                }
            });
            for took in join_all(all).await {
                longest = longest.max(took?);
            }
        }
        anyhow::Ok(longest)
    };
    let (longest, beside) = tokio::join!(attack, slowest(&api, &other));
    let (longest, beside) = (longest?, beside?);
    println!("refused within {longest:?}; others' calls {beside:?}, {quiet:?} when it is quiet");
    // A refusal writes nothing, so it takes less than calls that do; several at once share two processors.
    ensure!(longest < quiet * 10, "the slowest refusal took {longest:?}, others' calls {quiet:?}");
    ensure!(beside < quiet * 10, "others' calls took {beside:?}, {quiet:?} before");
    // It ends when it is told to, and its log is in order.
    stack.stop().await
}

/// What changes, replaces and changes again, and then changes letters so many times.
fn costly(number: usize, letters: usize) -> String {
    let all = "{{ ticket.subject | upper | replace('E', '---') | lower }}".repeat(3);
    format!("{number}{all}{}", "{{ ticket.subject | upper }}".repeat(letters))
}

/// How often letters are changed in the costliest template that is accepted: its steps are just below what is allowed.
async fn costliest(api: &Api, workspace: &str) -> anyhow::Result<usize> {
    for letters in 0..100 {
        if let Err(refused) = put_rule(api, workspace, "sought", None, &costly(0, letters)).await {
            ensure!(reason_of(&refused) == "TEMPLATE_INVALID", "{refused:?}");
            return letters.checked_sub(1).context("not even the first was accepted");
        }
    }
    anyhow::bail!("nothing was refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_costliest_templates_that_are_accepted_let_others_in() -> anyhow::Result<()> {
    let stack = Stack::up(&[]).await?;
    let api = stack.api()?;
    let (heavy, other) = (workspace_in(0, "heavy"), workspace_in(0, "other"));
    put_workspace(&api, &heavy).await?;
    put_workspace(&api, &other).await?;
    let letters = costliest(&api, &other).await?;
    let quiet = slowest(&api, &other).await?;
    let mut rules = 0;
    let refused = loop {
        let template = costly(rules, letters);
        match put_rule(&api, &heavy, &format!("rule-{rules}"), None, &template).await {
            Ok(_) => rules += 1,
            Err(refused) => break refused,
        }
    };
    ensure!(reason_of(&refused) == "EXPRESSION_TOO_COSTLY", "{refused:?}");
    ensure!((20..100).contains(&rules), "{rules} rules were taken");
    let load = async {
        for _ in 0..10 {
            open_ticket(&api, &heavy).await?;
        }
        anyhow::Ok(())
    };
    let (loaded, beside) = tokio::join!(load, slowest(&api, &other));
    loaded?;
    let beside = beside?;
    println!("{rules} costliest rules: others' calls {beside:?}, {quiet:?} when it is quiet");
    ensure!(beside < quiet * 10, "others' calls took {beside:?}, {quiet:?} before");
    stack.stop().await
}
