//! Rows as the decoder gives them, in, and as the encoder takes them, out.

use rowcast_proto::message::EtlPolicy;

use super::*;
use crate::pipeline::change::Transaction;
use crate::pipeline::decode::kind::TypeCatalog;
use crate::pipeline::decode::message::{ColumnBody, RelationBody};
use crate::pipeline::decode::relation::Shape;

type Row<'a> = &'a [Datum<'a>];

fn policy(script: &str) -> EtlPolicy {
    EtlPolicy {
        script: script.to_owned(),
        on_error: RowErrorAction::Stop.into(),
    }
}

fn applied(script: &str) -> Transform {
    let record = TrackedObjects {
        etl: Some(policy(script)),
        ..TrackedObjects::default()
    };
    Transform::new(&record, "shop")
}

/// `public.orders (id int8 key, phone text, total int4)`.
fn orders() -> Arc<Relation> {
    let column = |name, type_oid, identity| ColumnBody {
        identity,
        name,
        type_oid,
        modifier: -1,
    };
    let shape = Shape::from(RelationBody {
        oid: 16400,
        schema: "public",
        table: "orders",
        replica_identity: b'd',
        columns: vec![
            column("id", 20, true),
            column("phone", 25, false),
            column("total", 23, false),
        ],
    });
    Arc::new(shape.resolve(&TypeCatalog::default(), &[]))
}

fn buffer(row: Row<'_>) -> TupleBuffer {
    let mut buffer = TupleBuffer::default();
    assert!(row.iter().all(|datum| buffer.push(*datum)));
    buffer
}

/// What is told of a row: columns of the old one with what it is, and of the new one.
type Told = (Option<(&'static str, Vec<String>)>, Option<Vec<String>>);

fn texts(tuple: Tuple<'_>) -> Vec<String> {
    let text = |datum| match datum {
        Datum::Null => "(null)".to_owned(),
        Datum::Unchanged => "(unchanged)".to_owned(),
        Datum::Text(text) => text.to_owned(),
    };
    tuple.datums().map(text).collect()
}

fn told(
    transform: &mut Transform,
    relation: &Relation,
    images: Images<'_>,
) -> Result<Option<Told>, String> {
    let row = RowChange {
        transaction: Transaction::default(),
        ordinal: 1,
        relation,
        images,
    };
    let row = transform.row(row).map_err(|failed| failed.reason)?;
    Ok(row.map(|row| {
        let (old, new) = match row.images {
            Images::Insert { new } => (None, Some(new)),
            Images::Update { old, new } => (old, Some(new)),
            Images::Delete { old } => (Some(old), None),
        };
        let old = old.map(|old| match old {
            OldTuple::Key(tuple) => ("key", texts(tuple)),
            OldTuple::Full(tuple) => ("full", texts(tuple)),
        });
        (old, new.map(texts))
    }))
}

const PHONE: [Datum<'_>; 3] = [Datum::Text("7"), Datum::Text("0123"), Datum::Text("5")];

#[test]
fn both_images_are_masked_and_a_dropped_column_is_in_neither() {
    let orders = orders();
    let mut transform =
        applied("e_set(`phone`, str_mask(`phone`, 0, 1, '*')); e_drop_columns(`total`)");
    let shapes = transform.define(Arc::clone(&orders));
    assert_eq!(shapes.len(), 1);
    let names: Vec<&str> = shapes[0].schema.columns.iter().map(|c| &*c.name).collect();
    assert_eq!(names, ["id", "phone"]);
    assert_ne!(shapes[0].schema.id, orders.schema.id);
    let (old, new) = (buffer(&PHONE), buffer(&PHONE));
    let update = Images::Update {
        old: Some(OldTuple::Full(old.tuple())),
        new: new.tuple(),
    };
    let (old, new) = told(&mut transform, &orders, update).unwrap().unwrap();
    let masked = vec!["7".to_owned(), "**23".to_owned()];
    assert_eq!((old, new), (Some(("full", masked.clone())), Some(masked)));
}

#[test]
fn a_key_stays_a_key() {
    let orders = orders();
    let mut transform =
        applied("e_rename(`id`, `number`); e_set(`seen`, 'x'); e_keep(`total` > 3)");
    let shapes = transform.define(Arc::clone(&orders));
    assert_eq!(shapes[0].key, [true, false, false, false]);
    let key = buffer(&[Datum::Text("7"), Datum::Null, Datum::Null]);
    let delete = Images::Delete {
        old: OldTuple::Key(key.tuple()),
    };
    let (old, new) = told(&mut transform, &orders, delete).unwrap().unwrap();
    let expected = ["7", "(null)", "(null)", "(null)"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!((old, new), (Some(("key", expected)), None));
}

#[test]
fn the_new_row_decides_and_an_old_one_that_was_not_told_stays_untold() {
    let orders = orders();
    let mut transform = applied("e_keep(`total` > 3)");
    transform.define(Arc::clone(&orders));
    let small = buffer(&[Datum::Text("7"), Datum::Null, Datum::Text("1")]);
    let large = buffer(&PHONE);
    let update = |old: &'static str| {
        let (old, new) = match old {
            "small" => (&small, &large),
            _ => (&large, &small),
        };
        Images::Update {
            old: Some(OldTuple::Full(old.tuple())),
            new: new.tuple(),
        }
    };
    let (old, new) = told(&mut transform, &orders, update("small"))
        .unwrap()
        .unwrap();
    assert!(old.is_none() && new.is_some());
    assert!(
        told(&mut transform, &orders, update("large"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_was_not_sent_again_is_judged_by_the_old_row() {
    let orders = orders();
    let mut transform = applied("e_if(str_contains(`phone`, '01'), e_drop())");
    transform.define(Arc::clone(&orders));
    let unsent = buffer(&[Datum::Text("7"), Datum::Unchanged, Datum::Text("1")]);
    let old = buffer(&PHONE);
    let full = Images::Update {
        old: Some(OldTuple::Full(old.tuple())),
        new: unsent.tuple(),
    };
    assert!(told(&mut transform, &orders, full).unwrap().is_none());
    let alone = Images::Update {
        old: None,
        new: unsent.tuple(),
    };
    let reason = told(&mut transform, &orders, alone).unwrap_err();
    assert!(
        reason.contains("phone") && reason.contains("not sent"),
        "{reason}"
    );
}

#[test]
fn a_policy_that_does_not_fit_tells_no_row_of_that_table() {
    let orders = orders();
    let mut transform = applied("e_set(`note`, `nothing`)");
    let shapes = transform.define(Arc::clone(&orders));
    assert_eq!(shapes[0].schema.id, orders.schema.id);
    let new = buffer(&PHONE);
    let insert = Images::Insert { new: new.tuple() };
    let reason = told(&mut transform, &orders, insert).unwrap_err();
    assert!(reason.contains("does not fit public.orders"), "{reason}");
}

#[test]
fn each_transaction_has_the_policy_of_its_time() {
    let orders = orders();
    let record = TrackedObjects {
        etl: Some(policy("e_set(`phone`, 'now')")),
        etl_since: Some(Lsn::new(100)),
        etl_before: Some(policy("e_drop_columns(`total`); e_set(`phone`, 'then')")),
        ..TrackedObjects::default()
    };
    let mut transform = Transform::new(&record, "shop");
    let shapes = transform.define(Arc::clone(&orders));
    assert_eq!(shapes.len(), 2, "both are told before they are used");
    assert_eq!(
        shapes[1].schema.columns.len(),
        2,
        "the last one is in force"
    );
    let new = buffer(&PHONE);
    let phone = |transform: &mut Transform| {
        let insert = Images::Insert { new: new.tuple() };
        let (_old, row) = told(transform, &orders, insert).unwrap().unwrap();
        row.unwrap()[1].clone()
    };
    assert!(transform.begins(Lsn::new(99)).is_empty());
    assert_eq!(phone(&mut transform), "then");
    assert_eq!(transform.begins(Lsn::new(100))[0].schema.columns.len(), 3);
    assert_eq!(phone(&mut transform), "now");

    let none = TrackedObjects::default();
    let shapes = transform.replace(&none);
    assert_eq!(shapes[0].schema.id, orders.schema.id);
    assert_eq!(phone(&mut transform), "0123");
}
