//! Values at the edges of every type that PostgreSQL has, as its input functions take them.

/// Of each type that can be read from text. A type of a server that is in none of these lists fails
/// the test.
const EDGES: &[(&str, &[&str])] = &[
    (
        "abstime",
        &[
            "1970-01-01 00:00:00+00",
            "infinity",
            "-infinity",
            "2030-05-06 07:08:09+00",
        ],
    ),
    ("aclitem", &["postgres=r/postgres", "=arwdDxt/postgres"]),
    ("bit", &["", "1", "0101011100001111000011110000111101"]),
    ("bool", &["t", "f"]),
    (
        "box",
        &["(1,2),(0,-0.5)", "(Infinity,1e+300),(-Infinity,NaN)"],
    ),
    ("bpchar", &["", "ab   ", " "]),
    ("bytea", &["\\x", "\\x00", "\\xdeadbeef01"]),
    ("char", &["a", "", " ", "\"", "{"]),
    ("cid", &["0", "4294967295"]),
    ("cidr", &["10.0.0.0/8", "2001:db8::/32", "::/0"]),
    ("circle", &["<(0,0),0>", "<(-1.5,1e+200),3>"]),
    (
        "date",
        &[
            "2000-02-29",
            "infinity",
            "-infinity",
            "0044-03-15 BC",
            "4714-11-24 BC",
            "5874897-12-31",
        ],
    ),
    (
        "daterange",
        &[
            "empty",
            "(,)",
            "[2026-01-01,2026-02-01)",
            "[2026-01-01,infinity)",
        ],
    ),
    (
        "float4",
        &[
            "0",
            "-0",
            "0.1",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e-45",
            "1.17549435e-38",
            "3.4028235e38",
            "16777216",
        ],
    ),
    (
        "float8",
        &[
            "0",
            "-0",
            "0.1",
            "NaN",
            "Infinity",
            "-Infinity",
            "5e-324",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "1e15",
            "1e16",
            "-1.1187903854563579e-36",
            "9007199254740993",
            "0.30000000000000004",
        ],
    ),
    ("inet", &["10.0.0.1/8", "192.168.0.1", "::1", "fe80::1/64"]),
    ("int2", &["-32768", "32767", "0"]),
    ("int2vector", &["", "1", "1 -2 32767"]),
    ("int4", &["-2147483648", "2147483647", "0"]),
    (
        "int4range",
        &["empty", "(,)", "[1,5)", "(,5)", "[-2147483648,)"],
    ),
    (
        "int8",
        &[
            "-9223372036854775808",
            "9223372036854775807",
            "9007199254740992",
            "9007199254740993",
            "-9007199254740993",
            "0",
        ],
    ),
    (
        "int8range",
        &["empty", "[9007199254740993,9223372036854775807)"],
    ),
    (
        "interval",
        &[
            "0",
            "-178000000 years",
            "178000000 years 11 mons",
            "-1 years +2 mons -3 days +04:05:06.7",
            "1 day -00:00:00.000001",
            "1 mon",
            "-2147483647:00:54.775807",
            "2 years -00:00:01",
        ],
    ),
    (
        "json",
        &[
            "{}",
            "[]",
            "null",
            "  null ",
            "\"null\"",
            "\"\"",
            "0",
            "-0",
            "1e400",
            "[-1E+999]",
            "1e-400",
            "[1, 2.50]",
            "{\"a\": 1, \"a\": 2, \"b\": null}",
            "\"\\ud800\"",
            "{\"\\udc00\": 1}",
            "\"\\u0000\"",
            "\"\\ud83d\\ude00 😀\"",
            "1234567890123456789012345678901234567890",
            " [1,\n\t2]\n",
            "[null]",
            "[[1, 2], [3, 4]]",
        ],
    ),
    (
        "jsonb",
        &[
            "{}",
            "[]",
            "null",
            "\"null\"",
            "[null]",
            "[[1, 2], [3, 4]]",
            "1e400",
            "{\"a\": -0.0, \"\": [1.50]}",
            "1234567890123456789012345678901234567890.10",
            "\"\\ud83d\\ude00\\u0001\\\\\\\"\"",
            "true",
        ],
    ),
    (
        "jsonpath",
        &[
            "$",
            "lax $.\"a b\"[*]?(@.x > 1 && @.y == \"\\\"\")",
            "strict $.**",
        ],
    ),
    ("line", &["{1,2,3}", "{-1,0.5,1e+30}"]),
    ("lseg", &["[(0,0),(1,1)]", "[(-1.5,NaN),(Infinity,2)]"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    (
        "money",
        &[
            "0",
            "12.34",
            "-0.01",
            "92233720368547758.07",
            "-92233720368547758.08",
        ],
    ),
    (
        "name",
        &[
            "",
            "a",
            "Odd \"name\",\\{}",
            "éééééééééééééééééééééééééééééé",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "NaN",
            "-0.000000000000000000000000000001",
            "123456789012345678901234567890.0123456789",
            "1e1000",
            "1e-1000",
            "19.90",
            "-1",
        ],
    ),
    ("numrange", &["empty", "[1.50,NaN]", "(,-1e-30)"]),
    ("oid", &["0", "4294967295"]),
    ("oidvector", &["", "4294967295", "1 2 3"]),
    ("path", &["[(0,0),(1,1)]", "((0,0),(1,1),(2,-1e-05))"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"]),
    ("pg_snapshot", &["10:20:10,14,15", "1:1:"]),
    ("point", &["(0,0)", "(-1.5,1e+200)", "(NaN,Infinity)"]),
    ("polygon", &["((0,0),(1,1),(1,0))"]),
    ("refcursor", &["", "a cursor", "NULL"]),
    ("regclass", &["-", "pg_class", "shop.marks", "4294967295"]),
    ("regcollation", &["-", "\"C\""]),
    ("regconfig", &["english"]),
    ("regdictionary", &["simple"]),
    ("regnamespace", &["-", "shop", "pg_catalog"]),
    ("regoper", &["0", "||/"]),
    ("regoperator", &["0", "+(integer,integer)"]),
    ("regproc", &["-", "now"]),
    ("regprocedure", &["-", "abs(integer)"]),
    ("regrole", &["-", "postgres"]),
    (
        "regtype",
        &["-", "integer", "timestamp with time zone[]", "shop.marks"],
    ),
    ("reltime", &["1 day", "-00:00:01", "3 mons"]),
    ("smgr", &["magnetic disk"]),
    (
        "text",
        &[
            "",
            "a",
            "NULL",
            "null",
            "\"",
            "\\",
            "{}",
            "(,)",
            " ",
            "\n\r\t",
            "\u{1}\u{8}\u{c}\u{1b}\u{1f}\u{7f}",
            "é😀\u{10ffff}",
            "\u{2028}\u{feff}",
            "[1:2]={a,b}",
            "true",
            "1",
            "'",
            "e\u{301}",
            "\u{fffe}",
        ],
    ),
    ("tid", &["(0,0)", "(4294967295,65535)"]),
    (
        "time",
        &["00:00:00", "24:00:00", "23:59:59.999999", "00:00:00.000001"],
    ),
    (
        "timestamp",
        &[
            "2026-11-23 05:33:10.5",
            "infinity",
            "-infinity",
            "294276-12-31 23:59:59.999999",
            "4714-11-24 00:00:00 BC",
            "10000-01-01 00:00:00",
            "0001-01-01 00:00:00",
            "0001-12-31 23:59:59.000001 BC",
            "2000-01-01 00:00:00",
        ],
    ),
    (
        "timestamptz",
        &[
            "2026-11-23 05:33:10.5+09",
            "infinity",
            "-infinity",
            "294276-12-31 23:59:59.999999+00",
            "4714-11-24 00:00:00+00 BC",
            "10000-01-01 00:00:00+00",
            "0044-03-15 12:00:00+00 BC",
        ],
    ),
    (
        "timetz",
        &[
            "24:00:00-15:59:59",
            "12:00:00+05:30:21",
            "00:00:00.5+15:59:59",
            "23:59:59.999999+00",
        ],
    ),
    (
        "tinterval",
        &["[\"1970-01-01 00:00:00+00\" \"1980-01-01 00:00:00+00\"]"],
    ),
    ("tsquery", &["", "'a' & !'b c':*AB | ( 'd' <2> 'it''s' )"]),
    ("tsrange", &["empty", "[\"2026-11-23 05:33:10\",infinity]"]),
    (
        "tstzrange",
        &["empty", "(-infinity,\"0044-03-15 12:00:00+00 BC\")"],
    ),
    ("tsvector", &["", "'a':1A,3 'b c':2 'it''s' '\\\\'"]),
    ("txid_snapshot", &["10:20:10,14,15", "1:1:"]),
    (
        "uuid",
        &[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "00000000-0000-0000-0000-000000000000",
        ],
    ),
    ("varbit", &["", "1", "0101011100001111000011110000111101"]),
    ("varchar", &["", "v ", "NULL", "\u{b}"]),
    ("xid", &["0", "4294967295"]),
    ("xid8", &["0", "18446744073709551615"]),
    (
        "xml",
        &[
            "",
            "<a b=\"c\">é &amp; &lt;</a>",
            "a<b/>c",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a/>",
        ],
    ),
    ("int4multirange", &["{}", "{[1,3),[5,)}"]),
    (
        "int8multirange",
        &["{}", "{[9007199254740993,9007199254740995)}"],
    ),
    ("nummultirange", &["{}", "{[1.50,2],(3,NaN]}"]),
    (
        "datemultirange",
        &["{}", "{[2026-01-01,2026-02-01),[2027-01-01,infinity)}"],
    ),
    (
        "tsmultirange",
        &["{}", "{[\"2026-11-23 05:33:10\",infinity]}"],
    ),
    (
        "tstzmultirange",
        &["{}", "{(-infinity,\"2026-11-23 05:33:10+00\")}"],
    ),
];

/// What only servers from a version on take.
const EDGES_SINCE: &[(u32, &str, &[&str])] = &[
    (14, "numeric", &["Infinity", "-Infinity"]),
    (14, "numrange", &["[Infinity,Infinity]"]),
    // Before, such a byte was written as it is, which is no UTF-8.
    (16, "char", &["\\377", "\\200"]),
    (17, "interval", &["infinity", "-infinity"]),
];

/// Values of types whose input functions refuse everything, as SQL.
const MADE_BY_THE_SERVER: &[(&str, &str)] = &[
    (
        "pg_node_tree",
        "(SELECT adbin FROM pg_attrdef ORDER BY oid LIMIT 1)",
    ),
    ("pg_ndistinct", "(SELECT s.{}ndistinct FROM {} s)"),
    ("pg_dependencies", "(SELECT s.{}dependencies FROM {} s)"),
    ("pg_mcv_list", "(SELECT s.{}mcv FROM {} s)"),
];

/// Types whose values exist within indexes alone: a column of one holds NULL.
const WITHOUT_VALUES: &[&str] = &[
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
];

/// What a column of a type can be filled with.
pub(crate) enum Edges {
    /// With texts that its input function takes.
    Texts(Vec<String>),
    /// With what this SQL gives.
    Made(String),
    /// With NULL.
    Nothing,
}

/// The edges of a type; `None` where nobody has listed them.
pub(crate) fn edges(version: u32, name: &str) -> Option<Edges> {
    if WITHOUT_VALUES.contains(&name) {
        return Some(Edges::Nothing);
    }
    if let Some((_name, sql)) = MADE_BY_THE_SERVER.iter().find(|(made, _)| *made == name) {
        // Values and definitions of extended statistics were one catalog before 12.
        let (column, table) = if version < 12 {
            ("stx", "pg_statistic_ext")
        } else {
            ("stxd", "pg_statistic_ext_data")
        };
        let sql = sql.replacen("{}", column, 1).replacen("{}", table, 1);
        return Some(Edges::Made(sql));
    }
    let (_name, texts) = EDGES.iter().find(|(listed, _)| *listed == name)?;
    let since = EDGES_SINCE
        .iter()
        .filter(|(since, listed, _)| *listed == name && version >= *since)
        .flat_map(|(_since, _name, texts)| texts.iter());
    let texts = texts.iter().chain(since).map(|&text| text.to_owned());
    Some(Edges::Texts(texts.chain(long(name)).collect()))
}

/// Values that are too long to be written down.
fn long(name: &str) -> Vec<String> {
    match name {
        "bytea" => vec![(0..=255).fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"))],
        "numeric" => vec![format!("-{}.{}", "9".repeat(1000), "1".repeat(1000))],
        "json" | "jsonb" => vec![
            format!("{}{}", "[".repeat(64), "]".repeat(64)),
            format!("{}1{}", "[".repeat(1000), "]".repeat(1000)),
            "9".repeat(1000),
        ],
        "text" => vec!["long é\"\\".repeat(2000)],
        "bit" | "varbit" => vec!["10".repeat(500)],
        "name" => vec!["n".repeat(63)],
        _ => Vec::new(),
    }
}
