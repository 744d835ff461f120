//! Values of every type that the replay can put back.

/// A column of `shop.kinds`, and its values.
pub(crate) type Edges = (&'static str, &'static [&'static str]);

/// Extensions whose types are tried where the server ships them.
pub(crate) const EXTENSIONS: [&str; 2] = ["hstore", "citext"];

/// Edges of each column's type, as SQL expressions; NULL is always among them. The JSON document
/// `null` is not: `jsonb_populate_record`, by which the replay reads, takes it for NULL.
const EDGES: &[Edges] = &[
    ("flag", &["true", "false"]),
    ("small", &["-32768", "32767", "0"]),
    ("whole", &["-2147483648", "2147483647"]),
    (
        "big",
        &[
            "-9223372036854775808",
            "9223372036854775807",
            "9007199254740993",
            "-9007199254740992",
        ],
    ),
    (
        "single",
        &[
            "'NaN'",
            "'-Infinity'",
            "1.1",
            "3.4028235e38",
            "-0.0",
            "1e-45",
        ],
    ),
    (
        "double",
        &[
            "'NaN'",
            "'Infinity'",
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "-1.1187903854563579e-36",
        ],
    ),
    (
        "exact",
        &[
            "'NaN'",
            "0",
            "-0.000000000000000000000000000001",
            "123456789012345678901234567890.0123456789",
            "1e100",
        ],
    ),
    ("scaled", &["19.9", "-9999999999999999.9999"]),
    ("price", &["12.34", "-0.01", "1234567.89"]),
    (
        "body",
        &[
            "''",
            "E'q\"\\\\ \\u00e9\\n\\t\\u0001\\u007f'",
            "U&'\\+01F600\\2028'",
            "'null'",
            "repeat('long', 50)",
        ],
    ),
    ("short", &["'v'", "E'\\b\\f'"]),
    ("padded", &["'c'", "'ab cd'"]),
    (
        "raw",
        &[
            "''",
            "'\\x00ff'",
            "'\\xdeadbeef01'",
            "decode(repeat('ab', 301), 'hex')",
        ],
    ),
    (
        "document",
        &[
            "'{}'",
            "'[1, 2.50, {\"a\": \"\\u00e9\\\\\"}]'",
            "'\"text\"'",
            "'123456789012345678901234567890.5'",
        ],
    ),
    ("identifier", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    (
        "day",
        &[
            "'2026-11-23'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'12026-01-01'",
        ],
    ),
    (
        "at",
        &[
            "'2026-11-23 05:33:10.5'",
            "'infinity'",
            "'0001-01-01 00:00:00 BC'",
            "'9999-12-31 23:59:59.999999'",
            "'12026-02-03 04:05:06'",
        ],
    ),
    (
        "at_zone",
        &[
            "'2026-11-23 05:33:10.123+09'",
            "'-infinity'",
            "'1883-11-18 12:00:00+00'",
            "'0044-03-15 12:00:00+00 BC'",
        ],
    ),
    ("moment", &["'24:00:00'", "'00:00:00.000001'"]),
    ("moment_zone", &["'12:30:00+05:45'", "'23:59:59.5-12'"]),
    (
        "span",
        &["'1 year 2 mons -3 days 04:05:06.789'", "'0'", "'-1 mons'"],
    ),
    ("address", &["'10.0.0.1'", "'2001:db8::1/64'"]),
    ("network", &["'10.0.0.0/8'"]),
    ("bits", &["B'101'", "B''"]),
    ("spot", &["'(1.5,-2)'"]),
    ("words", &["'a fat ''cat'''"]),
    ("numbers", &["'{}'", "'{1,NULL,-3}'", "'[2:4]={7,8,9}'"]),
    (
        "texts",
        &[
            "'{}'",
            "'{\"a,b\",\"c\\\"d\",NULL,\"NULL\",\"{x}\",\" \",\"\\\\\\\\\"}'",
        ],
    ),
    ("grid", &["'{{1,2},{3,4}}'", "'{{{1},{NULL}}}'"]),
    ("days", &["'{2026-11-23,infinity}'"]),
    ("mood", &["'sad'", "'so \"so\"'"]),
    (
        "place",
        &["'(1,2.5,\"x, \"\"y\"\"\")'", "'(,,)'", "'(1,NaN,)'"],
    ),
    (
        "places",
        &["ARRAY['(1,2,a)', NULL, '(,,\"b,c\")']::shop.place[]"],
    ),
    ("amount", &["1", "2147483647"]),
    ("extent", &["'empty'", "'[1,5)'", "'(,3]'"]),
    ("card", &["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"]),
    ("wide_card", &["'08:00:2b:01:02:03:04:05'"]),
    ("wal", &["'0/0'", "'FFFFFFFF/FFFFFFFF'", "'16/B374D848'"]),
    (
        "wish",
        &["'fat & !''r at'' | c:*AB'", "''", "'a <-> b <2> c'"],
    ),
    ("course", &["'{1,-1,0.5}'", "'{0,-1,1e-300}'"]),
    ("stretch", &["'[(0,0),(1.5,-2)]'"]),
    (
        "field",
        &["'(1,2),(0,-0)'", "'(Infinity,1),(-Infinity,0.1)'"],
    ),
    ("way", &["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1e100,1))'"]),
    ("area", &["'((0,0),(1,1),(2,0))'"]),
    ("round", &["'<(0.1,-1),2.5>'"]),
    ("number", &["0", "4294967295"]),
    (
        "class",
        &["'shop.kinds'", "'shop.\"Odd Näme.x>*\"'", "'pg_class'", "0"],
    ),
    ("flags", &["B'1010'"]),
    ("letter", &["'x'", "''", "'\"'"]),
    ("called", &["'a name'", "repeat('n', 63)", "''"]),
    ("vector", &["'1 2 3'", "''", "'-32768 32767'"]),
    ("triple", &["'{}'", "'{1,NULL,-3}'", "'{{1},{2}}'"]),
    (
        "nest",
        &[
            "ROW(ROW(1, 2.5, 'x \"y\", (z)'), ARRAY[ROW(1, 2, 'a,b'), NULL]::shop.place[], '2026-11-23 05:33:10.5+00', '{1,NULL}')",
            "ROW(NULL, '{}', 'infinity', '{{1},{2}}')",
            "ROW(NULL, NULL, NULL, NULL)",
        ],
    ),
    (
        "nests",
        &[
            "ARRAY[ROW(ROW(NULL, 'NaN', E'\\\\ \t'), ARRAY[ROW(NULL, NULL, '')]::shop.place[], NULL, '{}'), NULL]::shop.nest[]",
            "'{}'",
        ],
    ),
];

/// Columns of types that not every version or server has.
pub(crate) struct More {
    /// First version with it.
    since: u32,
    /// The extension that brings it.
    extension: Option<&'static str>,
    column: &'static str,
    type_name: &'static str,
    /// What must be there before the column is.
    before: &'static str,
    edges: &'static [&'static str],
}

impl More {
    const fn new(
        since: u32,
        column: &'static str,
        type_name: &'static str,
        edges: &'static [&'static str],
    ) -> Self {
        Self {
            since,
            extension: None,
            column,
            type_name,
            before: "",
            edges,
        }
    }
}

const MORE: [More; 8] = [
    More {
        before: "CREATE DOMAIN shop.spotted AS shop.place;",
        ..More::new(
            11,
            "spotted",
            "shop.spotted",
            &["ROW(1, 0.1, 'a (b)')", "ROW(NULL, NULL, NULL)"],
        )
    },
    More::new(
        12,
        "query",
        "jsonpath",
        &["'$.\"a\"[*]?(@ > 1.50)'", "'strict $'"],
    ),
    More::new(13, "wide_xid", "xid8", &["'18446744073709551615'", "'0'"]),
    More::new(14, "extents", "int4multirange", &["'{}'", "'{[1,3),[5,)}'"]),
    More::new(
        14,
        "times",
        "tsrange",
        &["'empty'", "'[\"2026-11-23 05:33:10\",infinity)'"],
    ),
    More::new(
        10,
        "markup",
        "xml",
        &["'<a b=\"c\">é &amp; d</a>'", "'text'"],
    ),
    More {
        extension: Some("hstore"),
        ..More::new(
            10,
            "pairs",
            "hstore",
            &["''", "'a=>1, \"b,\\\"c\"=>NULL, \"\"=>\"NULL\"'"],
        )
    },
    More {
        extension: Some("citext"),
        ..More::new(10, "caseless", "citext", &["'AbC'", "'{\"\\'", "''"])
    },
];

/// A server's columns of [`MORE`].
pub(crate) fn more(version: u32, extensions: &[&str], xml: bool) -> Vec<&'static More> {
    let mut more: Vec<&More> = MORE.iter().collect();
    more.retain(|more| {
        let ships = |extension: &str| extensions.contains(&extension);
        version >= more.since
            && more.extension.is_none_or(ships)
            && (xml || more.type_name != "xml")
    });
    more
}

/// SQL that adds them to `shop.kinds`; the extensions are there.
pub(crate) fn added(more: &[&More]) -> String {
    let each = more.iter().map(|more| {
        format!(
            "{}ALTER TABLE shop.kinds ADD COLUMN {} {};",
            more.before, more.column, more.type_name
        )
    });
    each.collect()
}

/// Edges of all columns of `shop.kinds`.
pub(crate) fn edges(more: &[&More]) -> Vec<Edges> {
    let more = more.iter().map(|more| (more.column, more.edges));
    EDGES.iter().copied().chain(more).collect()
}
