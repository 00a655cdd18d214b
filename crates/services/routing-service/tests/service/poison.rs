//! A real service and an input that it can't read: set aside, shown, tried again in vain, dropped, and all goes on.

use runtime::Health;
use service_kit::{Admin, AdminSource};
use tonic_types::StatusExt as _;
use wire::admin::v1 as admin;
use wire::admin::v1::parked_service_server::ParkedService as _;
use wire::common::v1::Service as ServiceName;

use super::*;

fn choice(reason: &str) -> admin::ParkedChoice {
    admin::ParkedChoice {
        service: ServiceName::Routing.into(),
        input: ServiceName::Intake.into(),
        workspace: "acme".into(),
        entity: "T1".into(),
        actor: "olga".into(),
        reason: reason.into(),
    }
}

fn retry(reason: &str) -> Request<admin::RetryParkedRequest> {
    Request::new(admin::RetryParkedRequest { choice: Some(choice(reason)) })
}

fn reason_of(status: &tonic::Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

#[tokio::test]
async fn an_unreadable_input_holds_up_its_ticket_alone_until_an_operator_speaks() {
    let world = World::new().await;
    let source: Arc<dyn AdminSource> = Arc::new(world.node.clone());
    let operator = Admin::new([source], world.clock.clone(), Drain::new());

    // A number where the ticket's id should be, and what came after it.
    say(&world.intake, &world.node, "T1", "TicketOpened", &7_u64).await;
    world.opens("T1", Channel::Email).await;
    world.opens("T2", Channel::Email).await;
    // A type from the future is none of routing's business.
    say(&world.intake, &world.node, "T3", "NotYetInvented", &7_u64).await;
    assert_eq!(world.explain("T2").await.queue_id, "money", "another ticket goes on");
    assert_eq!(world.node.partitions()[0].health(), Health::Ready);
    let both = world.node.partitions()[0].view(|view| view.parked() == 2).await.unwrap();
    assert!(both, "what came after it is set aside too");

    let list = || operator.list_parked(Request::new(admin::ListParkedRequest {}));
    let listed = list().await.unwrap().into_inner().entities;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let (entity, inputs) = (&listed[0].entity, listed[0].count);
    assert_eq!((entity.as_str(), inputs, listed[0].input()), ("T1", 2, ServiceName::Intake));
    assert!(listed[0].error.contains("TicketOpened"), "{listed:?}");

    let unread = operator.retry_parked(retry("to see")).await.unwrap_err();
    assert_eq!(
        (unread.code(), reason_of(&unread).as_str()),
        (Code::FailedPrecondition, "INPUT_NOT_APPLICABLE")
    );
    let nameless = operator.retry_parked(retry("")).await.unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);

    let drop = admin::DropParkedRequest { choice: Some(choice("it was never right")), count: 1 };
    let dropped = operator.drop_parked(Request::new(drop)).await.unwrap().into_inner();
    assert_eq!((dropped.dropped, dropped.left), (1, 1));
    let retried = operator.retry_parked(retry("the rest is good")).await.unwrap().into_inner();
    assert_eq!((retried.applied, retried.left), (1, 0));
    assert_eq!(world.explain("T1").await.queue_id, "money", "it was opened after all");
    let nothing = operator.retry_parked(retry("again")).await.unwrap_err();
    assert_eq!((nothing.code(), reason_of(&nothing).as_str()), (Code::NotFound, "NOTHING_PARKED"));
    assert!(list().await.unwrap().into_inner().entities.is_empty());
}
