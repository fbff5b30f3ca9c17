use super::*;

fn order(status: Status) -> Order {
    Order {
        status,
        ..Order::sample()
    }
}

#[test]
fn a_status_is_told_when_the_order_comes_into_it_and_not_when_it_stays() {
    for from in Status::ALL {
        for to in Status::ALL {
            let event = OrderEvent::changed(&order(to), from, Source::Merchant);
            let expected = if from == to {
                EventKind::Updated
            } else if (from, to) == (Status::Closed, Status::Succeeded) {
                EventKind::PaidLate
            } else {
                EventKind::Changed(to)
            };
            assert_eq!(event.kind, expected.as_str(), "{from} -> {to}");
            assert_eq!((event.from, event.to), (Some(from), to));
            assert_eq!(event.came_into_its_status(), from != to, "{from} -> {to}");
        }
    }
    assert!(OrderEvent::created(&Order::sample()).came_into_its_status());
}

#[test]
fn a_type_is_read_as_it_is_written_and_no_two_are_the_same() {
    for kind in EventKind::ALL {
        assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(EventKind::Updated.as_str(), "order.updated");
    assert_eq!(EventKind::parse(TEST_KIND), None);
}
