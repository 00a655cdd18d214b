//! Checked templates, as they are stored. A stored template that can't be read is damage: it never becomes another
//! one, or none.

use notify::{Branch, Expression, Filter, Operator, Part, Template};
use runtime::DecodeError;
use wire::events::v1::template_expression::Kind as ExpressionKind;
use wire::events::v1::template_part::Kind as PartKind;
use wire::events::v1::{
    CheckedTemplate, TemplateBranch, TemplateChoice, TemplateComparison, TemplateExpression,
    TemplateExpressions, TemplateFilter, TemplateLoop, TemplateName, TemplatePart,
};

use super::malformed;

type Read<T> = Result<T, DecodeError>;

pub(super) fn stored(template: &Template) -> CheckedTemplate {
    CheckedTemplate { parts: stored_parts(template.parts()), steps: template.steps() }
}

/// The template of a rule: source and checked parts are both there, or neither.
pub(super) fn template_of(
    source: String,
    checked: Option<CheckedTemplate>,
) -> Read<Option<Template>> {
    match checked {
        None if source.is_empty() => Ok(None),
        Some(checked) if !source.is_empty() => {
            Ok(Some(Template::trusted(source, parts_of(checked.parts)?, checked.steps)))
        }
        None | Some(_) => Err(malformed("a template without its checked form")),
    }
}

fn stored_parts(parts: &[Part]) -> Vec<TemplatePart> {
    parts.iter().map(|part| TemplatePart { kind: Some(stored_part(part)) }).collect()
}

fn stored_part(part: &Part) -> PartKind {
    match part {
        Part::Text(text) => PartKind::Text(text.clone()),
        Part::Value(value) => PartKind::Value(stored_expression(value)),
        Part::Choice { branches, otherwise } => {
            let branch = |branch: &Branch| TemplateBranch {
                condition: Some(stored_expression(&branch.condition)),
                then: stored_parts(&branch.then),
            };
            PartKind::Choice(TemplateChoice {
                branches: branches.iter().map(branch).collect(),
                otherwise: stored_parts(otherwise),
            })
        }
        Part::Loop { item, list, body, otherwise } => PartKind::Loop(TemplateLoop {
            item: item.clone(),
            list: list.clone(),
            body: stored_parts(body),
            otherwise: stored_parts(otherwise),
        }),
    }
}

fn stored_expression(expression: &Expression) -> TemplateExpression {
    let boxed = |value: &Expression| Some(Box::new(stored_expression(value)));
    let kind = match expression {
        Expression::Text(text) => ExpressionKind::Text(text.clone()),
        Expression::Integer(number) => ExpressionKind::Integer(*number),
        Expression::Number(number) => ExpressionKind::Number(*number),
        Expression::Boolean(truth) => ExpressionKind::Boolean(*truth),
        Expression::Name(path) => ExpressionKind::Name(TemplateName { path: path.clone() }),
        Expression::Filter { filter, input, arguments } => {
            ExpressionKind::Filter(Box::new(TemplateFilter {
                filter: filter.word().to_owned(),
                input: boxed(input),
                arguments: arguments.iter().map(stored_expression).collect(),
            }))
        }
        Expression::Comparison { operator, left, right } => {
            ExpressionKind::Comparison(Box::new(TemplateComparison {
                operator: operator.word().to_owned(),
                left: boxed(left),
                right: boxed(right),
            }))
        }
        Expression::Not(value) => ExpressionKind::Negation(Box::new(stored_expression(value))),
        Expression::All(values) => ExpressionKind::All(stored_expressions(values)),
        Expression::Any(values) => ExpressionKind::Any(stored_expressions(values)),
        Expression::Choice { condition, then, otherwise } => {
            let values = [condition, then, otherwise].map(|value| stored_expression(value));
            ExpressionKind::Choice(TemplateExpressions { values: values.into() })
        }
    };
    TemplateExpression { kind: Some(kind) }
}

fn stored_expressions(values: &[Expression]) -> TemplateExpressions {
    TemplateExpressions { values: values.iter().map(stored_expression).collect() }
}

fn parts_of(parts: Vec<TemplatePart>) -> Read<Vec<Part>> {
    parts.into_iter().map(part_of).collect()
}

fn part_of(part: TemplatePart) -> Read<Part> {
    let kind = part.kind.ok_or_else(|| malformed("a template's part of an unknown kind"))?;
    Ok(match kind {
        PartKind::Text(text) => Part::Text(text),
        PartKind::Value(value) => Part::Value(expression_of(value)?),
        PartKind::Choice(TemplateChoice { branches, otherwise }) => {
            let branch = |TemplateBranch { condition, then }| {
                let condition = condition.ok_or_else(missing)?;
                Ok(Branch { condition: expression_of(condition)?, then: parts_of(then)? })
            };
            Part::Choice {
                branches: branches.into_iter().map(branch).collect::<Read<_>>()?,
                otherwise: parts_of(otherwise)?,
            }
        }
        PartKind::Loop(TemplateLoop { item, list, body, otherwise }) => {
            let (body, otherwise) = (parts_of(body)?, parts_of(otherwise)?);
            Part::Loop { item, list, body, otherwise }
        }
    })
}

fn expression_of(expression: TemplateExpression) -> Read<Expression> {
    let kind = expression.kind.ok_or_else(|| malformed("an expression of an unknown kind"))?;
    Ok(match kind {
        ExpressionKind::Text(text) => Expression::Text(text),
        ExpressionKind::Integer(number) => Expression::Integer(number),
        ExpressionKind::Number(number) => Expression::Number(number),
        ExpressionKind::Boolean(truth) => Expression::Boolean(truth),
        ExpressionKind::Name(name) => Expression::Name(name.path),
        ExpressionKind::Filter(it) => {
            let unknown = || malformed("an unknown filter");
            Expression::Filter {
                filter: Filter::of_word(&it.filter).ok_or_else(unknown)?,
                input: boxed(it.input)?,
                arguments: expressions_of(it.arguments)?,
            }
        }
        ExpressionKind::Comparison(it) => {
            let unknown = || malformed("an unknown operator");
            Expression::Comparison {
                operator: Operator::of_word(&it.operator).ok_or_else(unknown)?,
                left: boxed(it.left)?,
                right: boxed(it.right)?,
            }
        }
        ExpressionKind::Negation(value) => Expression::Not(Box::new(expression_of(*value)?)),
        ExpressionKind::All(it) => Expression::All(expressions_of(it.values)?),
        ExpressionKind::Any(it) => Expression::Any(expressions_of(it.values)?),
        ExpressionKind::Choice(it) => {
            let values: Result<[Expression; 3], _> = expressions_of(it.values)?.try_into();
            let [condition, then, otherwise] = values.map_err(|_| missing())?.map(Box::new);
            Expression::Choice { condition, then, otherwise }
        }
    })
}

fn expressions_of(values: Vec<TemplateExpression>) -> Read<Vec<Expression>> {
    values.into_iter().map(expression_of).collect()
}

fn boxed(value: Option<Box<TemplateExpression>>) -> Read<Box<Expression>> {
    value.ok_or_else(missing).and_then(|value| expression_of(*value)).map(Box::new)
}

fn missing() -> DecodeError {
    malformed("a template's expression lacks a part")
}
