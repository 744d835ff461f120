//! One request, one trace, through every service that it touches.

use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop, Span, TraceReceiver};
use rowcast_proto::rest::Task;
use rowcast_testkit::{PlatformOptions, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn the_trace_of_a_start_ends_with_the_first_publish() {
    let receiver = TraceReceiver::start().await.unwrap();
    let mut options = PlatformOptions::default();
    let endpoint = (
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        receiver.endpoint.clone(),
    );
    options.environment.extend([endpoint]);
    let shop = Box::pin(Shop::open(options)).await.unwrap();
    shop.precheck().await.unwrap();
    shop.purchase().await.unwrap();
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", traceparent.as_str())];
    let _task: Task = shop
        .api
        .command(&shop.path("start"), &headers)
        .await
        .unwrap();
    shop.reaches(TaskState::Running).await;
    shop.sql
        .batch_execute("INSERT INTO shop.counter VALUES (1)")
        .await
        .unwrap();

    eventually(
        "the first publish is in the trace of the start",
        PATIENCE,
        async || {
            let trace = receiver.trace(TRACE);
            let has = |service: &str, name: &str| {
                trace
                    .iter()
                    .any(|span| span.service == service && span.name.contains(name))
            };
            has("task-api", "start")
                && has("billing", "rowcast.rpc.billing.instance")
                && has("capture", "prepare task")
                && has("capture", "publish first batch")
                && Span::are_one_tree(&trace, CALLER)
        },
    )
    .await;
}
