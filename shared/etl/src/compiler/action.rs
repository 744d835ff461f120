//! Actions: conditions that the table decides are decided here, the rest when rows come.

use std::rc::Rc;

use super::{
    Compiler,
    columns::{Conflict, Live},
};
use crate::{
    diagnostic::Span,
    expression::Expression,
    function::{Act, Callee},
    kind::{self, Kind, is_string, set_type},
    moment::Style,
    node::{Form, Named, Node},
    program::Action,
    value::Value,
};

impl Compiler<'_> {
    /// Compiles actions that follow each other.
    pub(super) fn actions(&mut self, nodes: &[Node]) -> Vec<Action> {
        let mut actions = Vec::new();
        for node in nodes {
            self.action(node, &mut actions);
        }
        actions
    }

    fn action(&mut self, node: &Node, actions: &mut Vec<Action>) {
        let Form::Call(function, arguments, named) = &node.form else {
            return self.no_action(node);
        };
        let Callee::Act(act) = function.callee else {
            return self.no_action(node);
        };
        match (act, arguments.as_slice()) {
            (Act::If, [condition, action]) => self.choose(&[(condition, action)], None, actions),
            (Act::IfElse, [condition, action, otherwise]) => {
                self.choose(&[(condition, action)], Some(otherwise), actions);
            }
            (Act::Switch, arguments) => self.switch(node.span, arguments, named, actions),
            (Act::Compose, arguments) => actions.extend(self.actions(arguments)),
            (Act::Drop, _) => self.drop_row(actions),
            (Act::Keep, [condition]) => self.keep(condition, actions),
            (Act::Set, [column, value, rest @ ..]) => {
                self.set(column, value, rest.first(), node.span, actions);
            }
            (Act::DropColumns | Act::KeepColumns, arguments) => {
                self.project(act == Act::KeepColumns, arguments, node.span);
            }
            (Act::Rename, [old, new]) => self.rename(old, new, node.span),
            (Act::ReplaceEverywhere, [search, replacement, all]) => {
                self.replace_everywhere([search, replacement, all], node.span, actions);
            }
            // The parser has counted the arguments.
            (
                Act::If | Act::IfElse | Act::Keep | Act::Set | Act::Rename | Act::ReplaceEverywhere,
                _,
            ) => {}
        }
    }

    fn no_action(&mut self, node: &Node) {
        let message = "This is a value where an action is needed: set a column by e_set, or drop the row by e_drop().";
        self.tell(node.span, "place", message);
    }

    fn drop_row(&mut self, actions: &mut Vec<Action>) {
        actions.push(Action::Drop);
        self.drops = true;
        self.columns.ended = true;
    }

    fn keep(&mut self, condition: &Node, actions: &mut Vec<Action>) {
        let Some(condition) = self.condition(condition) else {
            return;
        };
        match condition.constant() {
            Some(value) if value.is_true() => {}
            Some(_) => self.drop_row(actions),
            None => {
                self.drops = true;
                actions.push(Action::Keep(condition));
            }
        }
    }

    fn switch(
        &mut self,
        span: Span,
        arguments: &[Node],
        named: &[Named],
        actions: &mut Vec<Action>,
    ) {
        let (pairs, rest) = arguments.as_chunks::<2>();
        if !rest.is_empty() {
            let message = "e_switch takes a condition and an action by turns: add what is missing, or write the last action as default=.";
            return self.tell(span, "arguments", message);
        }
        let arms: Vec<(&Node, &Node)> = pairs.iter().map(|[when, then]| (when, then)).collect();
        let default = named.first().map(|named| &named.value);
        self.choose(&arms, default, actions);
    }

    /// Compiles conditions with an action each. Arms that this table never takes are left out.
    fn choose(
        &mut self,
        arms: &[(&Node, &Node)],
        default: Option<&Node>,
        actions: &mut Vec<Action>,
    ) {
        let mut taken: Vec<(Expression, &Node)> = Vec::new();
        let mut otherwise = default;
        for (condition, action) in arms {
            let Some(condition) = self.condition(condition) else {
                // What else is wrong with the action is worth to be told at once.
                if self.table.is_none() {
                    self.action(action, &mut Vec::new());
                }
                continue;
            };
            match condition.constant().map(Value::is_true) {
                Some(true) if self.table.is_some() => {
                    otherwise = Some(action);
                    break;
                }
                Some(false) if self.table.is_some() => {}
                Some(_) | None => taken.push((condition, action)),
            }
        }
        if taken.is_empty() {
            if let Some(action) = otherwise {
                self.action(action, actions);
            }
            return;
        }
        let before = self.columns.clone();
        let mut conflicts = Vec::new();
        let mut compiled = Vec::new();
        self.conditions += 1;
        let others = self.branch(otherwise);
        let mut after = std::mem::replace(&mut self.columns, before.clone());
        for (condition, action) in taken {
            let actions = self.branch(Some(action));
            let branch = std::mem::replace(&mut self.columns, before.clone());
            after = after.or(branch, &mut conflicts);
            compiled.push((condition, actions));
        }
        self.conditions -= 1;
        self.columns = after;
        self.tell_conflicts(&conflicts);
        if !others.is_empty() || compiled.iter().any(|(_, actions)| !actions.is_empty()) {
            actions.push(Action::Choose(compiled, others));
        }
    }

    fn branch(&mut self, action: Option<&Node>) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(action) = action {
            self.action(action, &mut actions);
        }
        actions
    }

    fn tell_conflicts(&mut self, conflicts: &[Conflict]) {
        for Conflict { name, span } in conflicts {
            let message = format!(
                "Column `{name}` would have values of two types, by whether the condition is true: set it without a condition, or to `cond ? a : b` with both of one type."
            );
            self.tell(*span, "retype", message);
        }
    }

    /// The name of a column that an action is about.
    fn column_name<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        if let Form::Column(name) = &node.form {
            return Some(name);
        }
        self.tell(node.span, "place", "Name a column here, in backticks.");
        None
    }

    fn set(
        &mut self,
        column: &Node,
        value: &Node,
        new: Option<&Node>,
        span: Span,
        actions: &mut Vec<Action>,
    ) {
        let name = self.column_name(column);
        if let Some(new) = new.filter(|new| new.form != Form::New) {
            let message = "Write NEW here, or nothing: e_set takes a column and a value.";
            self.tell(new.span, "arguments", message);
        }
        let live = name.and_then(|name| self.columns.get(name)).cloned();
        self.target = live.as_ref().map(|live| live.slot);
        let value = self.set_value(value);
        self.target = None;
        let (Some(name), Some(value)) = (name, value) else {
            return;
        };
        if self.table.is_none() {
            return;
        }
        if live.as_ref().is_some_and(|live| live.key) {
            return self.tell_key(name, column.span, "is not set");
        }
        if new.is_some() && live.is_some() {
            let message =
                format!("Column `{name}` is there already: take NEW away, or choose another name.");
            return self.tell(column.span, "column_exists", message);
        }
        let (slot, style) = self.set_column(name, value.kind, span);
        let name = name.to_owned();
        actions.push(Action::Set {
            slot,
            name,
            value,
            style,
        });
    }

    /// A column is copied as the text that it is, unless it is written in another form.
    fn set_value(&mut self, value: &Node) -> Option<Expression> {
        let typed = self.value(value)?;
        if typed.kind == Kind::Moment || !matches!(value.form, Form::Column(_)) {
            return Some(typed);
        }
        self.raw_value(value)
    }

    /// Notes that a column, perhaps a new one, is set here to a value of this kind.
    fn set_column(&mut self, name: &str, value: Kind, span: Span) -> (usize, Style) {
        let before = self.columns.get(name).and_then(|live| live.oid);
        let oid = match (before, value) {
            (None, Kind::Null) => None,
            (before, value) => Some(set_type(before, value)),
        };
        let style = match oid {
            Some(kind::DATE) => Style::Date,
            Some(kind::TIMESTAMP) => Style::Timestamp,
            Some(_) | None => Style::Timestamptz,
        };
        if let Some(live) = self.columns.get_mut(name) {
            live.oid = oid;
            live.original = false;
            live.set_at = Some(span);
            return (live.slot, style);
        }
        let known = self.added.iter().find(|(added, _)| added == name);
        let slot = known.map_or(self.slots, |(_, slot)| *slot);
        if slot == self.slots {
            self.slots += 1;
            self.added.push((name.to_owned(), slot));
        }
        self.columns.add(Live {
            name: Rc::from(name),
            slot,
            source: None,
            key: false,
            oid,
            original: false,
            set_at: Some(span),
        });
        (slot, style)
    }

    fn tell_key(&mut self, name: &str, span: Span, what: &str) {
        let message = format!(
            "Column `{name}` belongs to the key of {}, by which changes are told apart, so it {what}: leave it as it is.",
            self.table_name()
        );
        self.tell(span, "key_column", message);
    }

    /// Whether the columns may change here. Under a condition rows of one table would differ.
    fn may_project(&mut self, span: Span) -> bool {
        if self.table.is_some() && self.conditions > 0 {
            let message = "Columns are dropped, kept and renamed for all rows of a table: do it without a condition, or under one of __TB__, __SCHEMA__ and __DB__ alone.";
            self.tell(span, "projection", message);
        }
        self.table.is_some() && self.conditions == 0
    }

    fn project(&mut self, keeps: bool, arguments: &[Node], span: Span) {
        let names: Vec<(&str, Span)> = arguments
            .iter()
            .filter_map(|node| Some((self.column_name(node)?, node.span)))
            .collect();
        if !self.may_project(span) {
            return;
        }
        for (name, span) in &names {
            match self.columns.get(name).map(|live| live.key) {
                None => self.tell_unknown_column(name, *span),
                Some(true) if !keeps => self.tell_key(name, *span, "is not dropped"),
                Some(_) => {}
            }
        }
        let named = |live: &Live| names.iter().any(|(name, _)| *name == live.name.as_ref());
        let (stay, go): (Vec<Live>, Vec<Live>) = self
            .columns
            .iter()
            .cloned()
            .partition(|live| named(live) == keeps);
        if keeps {
            for live in go.iter().filter(|live| live.key) {
                let message = format!(
                    "Column `{}` belongs to the key of {}, by which changes are told apart: name it among those that are kept.",
                    live.name,
                    self.table_name()
                );
                self.tell(span, "key_column", message);
            }
        }
        self.gone
            .extend(go.iter().map(|live| live.name.to_string()));
        self.added
            .retain(|(_, slot)| go.iter().all(|live| live.slot != *slot));
        self.columns
            .retain(|live| stay.iter().any(|one| one.slot == live.slot));
    }

    fn rename(&mut self, old: &Node, new: &Node, span: Span) {
        let (Some(old_name), Some(new_name)) = (self.column_name(old), self.column_name(new))
        else {
            return;
        };
        if !self.may_project(span) {
            return;
        }
        let Some(slot) = self.columns.get(old_name).map(|live| live.slot) else {
            return self.tell_unknown_column(old_name, old.span);
        };
        if self.columns.get(new_name).is_some() {
            let message = format!("Column `{new_name}` is there already: choose another name.");
            return self.tell(new.span, "column_exists", message);
        }
        if let Some(live) = self.columns.get_mut(old_name) {
            live.name = Rc::from(new_name);
        }
        self.added.retain(|(_, added)| *added != slot);
        self.gone.push(old_name.to_owned());
    }

    fn replace_everywhere(&mut self, arguments: [&Node; 3], span: Span, actions: &mut Vec<Action>) {
        let [search, replacement, all] = arguments.map(|node| &node.form);
        let (Form::Text(search), Form::Text(replacement), Form::Bool(all)) =
            (search, replacement, all)
        else {
            let message = "tail_replace_string_field takes two texts and true or false, written out: write tail_replace_string_field('a', 'b', true).";
            return self.tell(span, "arguments", message);
        };
        let texts = |live: &&Live| !live.key && live.oid.is_none_or(is_string);
        let slots = self.columns.iter().filter(texts);
        let slots: Vec<(usize, String)> = slots
            .map(|live| (live.slot, live.name.to_string()))
            .collect();
        if !slots.is_empty() && !search.is_empty() {
            actions.push(Action::ReplaceEverywhere {
                span,
                slots,
                search: search.clone(),
                replacement: replacement.clone(),
                count: (!all).then_some(1),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::trial::compiled;

    #[test]
    fn choices_without_actions_are_left_out() {
        for text in [
            "e_if(`n` > 1, e_if(false, e_drop()))",
            "e_switch(`n` > 1, e_keep(true), default=e_compose(e_keep(true)))",
            "tail_replace_string_field('', 'x', true)",
        ] {
            assert!(compiled(text).actions.is_empty(), "{text}");
        }
    }

    #[test]
    fn branches_that_add_the_same_column_share_its_slot() {
        let program = compiled("e_if_else(`n` > 1, e_set(`x`, 1), e_set(`x`, 2))");
        assert_eq!(program.slots, 3);
        assert_eq!(program.columns().len(), 3);
    }

    #[test]
    fn what_is_never_kept_is_dropped() {
        let program = compiled("e_keep(__TB__ == 'x')");
        assert!(matches!(program.actions.as_slice(), [Action::Drop]));
    }
}
