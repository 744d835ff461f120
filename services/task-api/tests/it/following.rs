//! Prechecks that are followed check by check.

use reqwest::{Method, Response, StatusCode};
use tokio::sync::watch;

use crate::fixture::Api;
use crate::stand_in;

/// What has come of a stream of events.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn of(api: &Api, path: &str) -> Self {
        let response = api.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let kind = &response.headers()["content-type"];
        assert_eq!(kind, "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    fn names(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix("event: "))
            .collect()
    }

    /// Reads until so many events have come.
    async fn reach(&mut self, count: usize) {
        while self.names().len() < count || !self.text.ends_with("\n\n") {
            let chunk = self.response.chunk().await.unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert_eq!(self.names().len(), count, "{}", self.text);
    }

    /// Reads what is left.
    async fn end(&mut self) {
        while let Some(chunk) = self.response.chunk().await.unwrap() {
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn each_check_is_told_once_it_has_ended() {
    let api = Api::start().await;
    let (may, steps) = watch::channel(0);
    stand_in::precheck_in_steps(&api.bus, steps).await;
    let task = api.created_task().await;
    let path = format!("/tasks/{task}/precheck");
    let progress = format!("{path}/progress");
    let none = api.get(&progress).await;
    none.is_problem(StatusCode::NOT_FOUND, "precheck_not_found");

    let mut next = Events::of(&api, &format!("{progress}?next=true")).await;
    let followed = async {
        next.reach(1).await;
        assert!(next.text.contains(r#""code":"keys""#), "{}", next.text);
        assert_eq!(api.state(&task).await, "prechecking");
        may.send_replace(1);
        next.reach(2).await;
        // Who comes later is told what has been.
        let mut late = Events::of(&api, &progress).await;
        late.reach(2).await;
        may.send_replace(2);
        next.end().await;
        late.end().await;
        assert_eq!(next.names(), ["begin", "item", "item", "end"]);
        assert_eq!(late.text, next.text);
    };
    let (report, ()) = tokio::join!(api.command(&path), followed);
    assert_eq!(report.body["passed"], true, "{report:?}");
    assert!(next.text.contains("precheck_passed"), "{}", next.text);
    assert!(next.text.contains(report.body["id"].as_str().unwrap()));

    let mut last = Events::of(&api, &progress).await;
    last.end().await;
    assert_eq!(last.names(), ["begin", "item", "item", "end"]);
    // The next one is another.
    let mut next = Events::of(&api, &format!("{progress}?next=true")).await;
    let (report, ()) = tokio::join!(api.command(&path), next.end());
    assert_eq!(next.names(), ["begin", "item", "item", "end"]);
    assert!(next.text.contains(report.body["id"].as_str().unwrap()));
    // None comes: nobody waits for ever.
    let mut none = Events::of(&api, &format!("{progress}?next=true")).await;
    none.end().await;
    assert_eq!(none.names(), ["end"]);
}

#[tokio::test]
async fn a_run_that_is_cut_off_ends_for_who_follows_it() {
    let api = Api::start().await;
    let task = api.created_task().await;
    let becomes = async |state: &str| {
        sqlx::query("UPDATE task_api.tasks SET state = $2 WHERE id = $1")
            .bind(task.as_str())
            .bind(state)
            .execute(&api.pool)
            .await
            .unwrap();
    };
    becomes("prechecking").await;
    stand_in::tell_of_precheck(&api.bus, &stand_in::begun("r1", &task)).await;
    let mut events = Events::of(&api, &format!("/tasks/{task}/precheck/progress")).await;
    events.reach(1).await;
    becomes("precheck_failed").await;
    events.end().await;
    assert_eq!(events.names(), ["begin", "end"]);
    assert!(events.text.contains("precheck_failed"), "{}", events.text);
}

#[tokio::test]
async fn a_run_that_was_cut_off_is_not_waited_for() {
    let api = Api::start().await;
    let task = api.created_task().await;
    stand_in::tell_of_precheck(&api.bus, &stand_in::begun("r1", &task)).await;
    let mut events = Events::of(&api, &format!("/tasks/{task}/precheck/progress")).await;
    events.end().await;
    assert_eq!(events.names(), ["begin", "end"]);
    assert!(events.text.contains("not_started"), "{}", events.text);
}
