//! A source that lets its role in by a client certificate.

use std::path::Path;

use rowcast_e2e::{PATIENCE, Shell, Shop, is_count, read_until};
use rowcast_proto::rest::{Source, SourceTest};
use rowcast_testkit::{eventually, openssl};

/// A key and a certificate with this common name, signed by itself.
fn certificate(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2
             -keyout {name}.key -out {name}.crt -subj /CN={name}"
        ),
    );
}

/// Gives a text to a program that runs in the server's folder, as the server's user.
async fn write(admin: &tokio_postgres::Client, text: &str, program: &str) {
    let lines = format!("unnest(string_to_array('{text}', E'\\n'))");
    let copy = format!("COPY (SELECT {lines}) TO PROGRAM '{program}'");
    admin.batch_execute(&copy).await.unwrap();
}

/// From now on the role `shop_owner` is let in by its certificate only.
async fn ask_for_certificates(shop: &Shop, folder: &Path) {
    let admin = shop.platform.sql("postgres").await.unwrap();
    for name in ["server.crt", "server.key", "shop_owner.crt"] {
        let pem = std::fs::read_to_string(folder.join(name)).unwrap();
        write(&admin, &pem, &format!("umask 077; cat > {name}")).await;
    }
    let rules = "hostssl all shop_owner all cert\nhostssl replication shop_owner all cert\n\
                 host all shop_owner all reject";
    let first = "cat - pg_hba.conf > hba.new && mv hba.new pg_hba.conf";
    write(&admin, rules, first).await;
    for set in [
        "ALTER SYSTEM SET ssl_ca_file = 'shop_owner.crt'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ] {
        admin.batch_execute(set).await.unwrap();
    }
}

/// By a file, without a password; and it does not end without any way to log in.
async fn is_declared(shop: &Shop, shell: &Shell) {
    let port = shop.platform.postgres.port();
    let file = format!(
        "sources:\n  - name: declared\n    host: 127.0.0.1\n    port: {port}\n    database: shop\n    \
         account: shop_owner\n    sslmode: verify-ca\n    sslrootcert: server.crt\n    \
         sslcert: shop_owner.crt\n    sslkey: shop_owner.key\n"
    );
    shell.write("sources.yaml", &file).unwrap();
    shell.prints("apply -f sources.yaml --yes").await.unwrap();
    let test: SourceTest = shell.json("source test declared").await.unwrap();
    assert!(test.passed, "{test:?}");
    let bare = "source update declared --no-sslcert";
    let (code, trouble) = shell.fails(bare).await.unwrap();
    assert!(code == 1 && trouble.contains("password"), "{trouble}");
}

#[tokio::test]
async fn a_running_task_goes_on_with_a_certificate_in_the_place_of_the_password() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let mut member = group.subscribe().await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    certificate(shell.folder(), "server");
    certificate(shell.folder(), "shop_owner");
    ask_for_certificates(&shop, shell.folder()).await;
    let source = shop.task().await.unwrap().source_id;

    let test = format!("source test {source} -o json");
    let without = shell.run(&test).await.unwrap();
    let without: SourceTest = serde_json::from_slice(&without.stdout).unwrap();
    assert!(!without.passed, "{without:?}");
    let update = format!(
        "source update {source} --sslmode verify-ca --sslrootcert server.crt \
         --sslcert shop_owner.crt --sslkey shop_owner.key"
    );
    let shown: Source = shell.json(&update).await.unwrap();
    assert!(shown.client_certificate);
    let with: SourceTest = shell.json(&test.replace(" -o json", "")).await.unwrap();
    assert!(with.passed, "{with:?}");

    let admin = shop.platform.sql("postgres").await.unwrap();
    eventually("capture logs in by the certificate", PATIENCE, async || {
        let by = "SELECT client_dn FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)";
        let rows = admin.query(by, &[]).await.unwrap();
        rows.len() == 1 && rows[0].get::<_, Option<&str>>(0) == Some("/CN=shop_owner")
    })
    .await;
    is_declared(&shop, &shell).await;
    // The shop's own session was there before.
    let insert = "INSERT INTO shop.counter VALUES (1)";
    shop.sql.batch_execute(insert).await.unwrap();
    read_until(&mut member, |change| is_count(change, 1))
        .await
        .unwrap();
}
