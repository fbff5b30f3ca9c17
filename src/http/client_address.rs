//! Whose request it is, for rate limits: the peer's address, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use smallvec::SmallVec;

use super::fields::Fields;

/// The client's address. Header fields count only when the peer is a trusted proxy; they are read from the right, past trusted
/// proxies, since whatever stands further left is the client's own say.
pub(super) fn client_address(peer: Option<SocketAddr>, fields: &(impl Fields + ?Sized), trusted: &[IpNet]) -> IpAddr {
    let peer = peer
        .as_ref()
        .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), SocketAddr::ip)
        .to_canonical();
    if is_trusted(peer, trusted) {
        behind_proxies(fields, peer, trusted)
    } else {
        peer
    }
}

/// The part of an address that one client is taken to have: all of an IPv4 address, the /64 of an IPv6 one (RFC 6177: the
/// least that a customer gets).
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// `X-Forwarded-For` wins over `Forwarded`: nearly all proxies write the former and pass the latter on as the client sent it.
fn behind_proxies(fields: &(impl Fields + ?Sized), peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let hops = if fields.first("x-forwarded-for").is_some() {
        read_hops(fields.all("x-forwarded-for"), read_node)
    } else {
        read_hops(fields.all("forwarded"), read_forwarded_for)
    };
    // From the right: the first that is no trusted proxy is the client. An element that cannot be read ends the walk at the
    // last hop that could: its left side was not written by anyone trusted.
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    client
}

/// More hops than one rarely come, and each poll through a proxy passes here: they stand in no memory of their own.
type Hops = SmallVec<[Option<IpAddr>; 4]>;

fn read_hops<'a>(fields: impl Iterator<Item = &'a [u8]>, read: impl Fn(&str) -> Option<IpAddr>) -> Hops {
    // Element by element: what a client wrote, whatever its bytes, must not spoil what the proxy wrote behind it.
    let elements = fields.flat_map(|field| field.split(|byte| *byte == b','));
    let elements = elements.map(|element| std::str::from_utf8(element).ok());
    elements.map(|element| read(element?.trim())).collect()
}

/// The `for` of one element of `Forwarded` (RFC 7239 §4).
fn read_forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| read_node(value.trim().trim_matches('"')))
            .flatten()
    })
}

/// An address as proxies write it: bare, with a port, or IPv6 in brackets with or without one (RFC 7239 §6).
fn read_node(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = node.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let bracketed = node.strip_prefix('[')?.strip_suffix(']')?;
    bracketed
        .parse::<Ipv6Addr>()
        .ok()
        .map(|address| IpAddr::V6(address).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "::1/128"]
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect();
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            fields.append(HeaderName::from_static(name), value.parse().expect("a header value"));
        }
        client_address(peer.parse().ok(), &fields, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        let forged = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(client("203.0.113.9:1", &forged), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_is_believed_up_to_the_first_hop_that_is_not_trusted() {
        let peer = "10.0.0.1:1";
        assert_eq!(client(peer, &[]), "10.0.0.1");
        assert_eq!(client(peer, &[("x-forwarded-for", "198.51.100.7")]), "198.51.100.7");
        assert_eq!(
            client(peer, &[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.2")]),
            "198.51.100.7"
        );
        assert_eq!(
            client(
                peer,
                &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7")]
            ),
            "198.51.100.7"
        );
        assert_eq!(
            client(peer, &[("x-forwarded-for", "198.51.100.7:4711")]),
            "198.51.100.7"
        );
        assert_eq!(
            client(peer, &[("x-forwarded-for", "6.6.6.6, junk, 10.0.0.2")]),
            "10.0.0.2"
        );
        assert_eq!(client(peer, &[("x-forwarded-for", "")]), "10.0.0.1");
        let no_text = HeaderValue::from_bytes(b"\xff, 198.51.100.7").expect("a header value");
        let mut fields = HeaderMap::new();
        fields.append(HeaderName::from_static("x-forwarded-for"), no_text);
        assert_eq!(
            client_address(peer.parse().ok(), &fields, &["10.0.0.0/8".parse().expect("a network")]).to_string(),
            "198.51.100.7"
        );
    }

    #[test]
    fn forwarded_counts_where_there_is_no_x_forwarded_for() {
        let peer = "[::1]:1";
        assert_eq!(
            client(peer, &[("forwarded", "for=198.51.100.7;proto=https")]),
            "198.51.100.7"
        );
        assert_eq!(
            client(peer, &[("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:443\"")]),
            "2001:db8::1"
        );
        assert_eq!(client(peer, &[("forwarded", "for=unknown")]), "::1");
        let both = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client(peer, &both), "198.51.100.7");
    }

    #[test]
    fn mapped_addresses_are_ipv4_and_ipv6_counts_by_64() {
        assert_eq!(client("[::ffff:203.0.113.9]:1", &[]), "203.0.113.9");
        let network = network_of("2001:db8:1:2:3:4:5:6".parse().expect("an address"));
        assert_eq!(network.to_string(), "2001:db8:1:2::");
    }

    proptest! {
        #[test]
        fn every_address_is_read_in_each_of_its_forms(bits: u128, v4: u32, port: u16) {
            let (six, four) = (Ipv6Addr::from_bits(bits), std::net::Ipv4Addr::from_bits(v4));
            for text in [six.to_string(), format!("[{six}]"), format!("[{six}]:{port}")] {
                prop_assert_eq!(read_node(&text), Some(IpAddr::V6(six).to_canonical()));
            }
            for text in [four.to_string(), format!("{four}:{port}")] {
                prop_assert_eq!(read_node(&text), Some(IpAddr::V4(four)));
            }
        }

        #[test]
        fn junk_never_panics(text in ".{0,60}") {
            read_node(&text);
            read_forwarded_for(&text);
        }
    }
}
