//! Where webhooks may go: public addresses, and the networks that the operator allows. (A merchant names the URL and reads
//! part of the answer; without this it could look around in the operator's network, or at the cloud's metadata.)
//!
//! Addresses are looked at after the name was resolved, and the connection is made to one that was looked at: a name that
//! resolves differently a moment later gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::lookups::Lookups;
use crate::domain::webhook::WebhookUrl;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Vec<IpNet>,
}

/// Why nothing is sent somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    #[error("leads to an address that webhooks may not reach; it must be a public one, or in PAYQUERY_WEBHOOK_ALLOW")]
    Address,
    #[error("must begin with https://; plain http is for the networks in PAYQUERY_WEBHOOK_ALLOW")]
    Unencrypted,
    #[error("the name is not known")]
    UnknownName,
}

impl Guard {
    pub const fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Whether a URL can be good at all; a name is resolved only when something is sent.
    pub fn check_url(&self, url: &WebhookUrl) -> Result<(), GuardError> {
        match (url.literal_address(), url.is_encrypted()) {
            (Some(address), true) => self.check(address),
            (Some(address), false) if self.is_allowed(address) => Ok(()),
            (None, false) if !self.allow.is_empty() => Ok(()),
            (_, false) => Err(GuardError::Unencrypted),
            (None, true) => Ok(()),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), GuardError> {
        if is_public(address) || self.is_allowed(address) {
            Ok(())
        } else {
            Err(GuardError::Address)
        }
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.iter().any(|network| network.contains(&address))
    }

    /// Resolves names to addresses that may be reached encrypted.
    pub fn encrypted(self, lookups: Lookups) -> impl Resolve + 'static {
        GuardedResolver {
            may_reach: move |address| self.check(address).is_ok(),
            lookups,
        }
    }

    /// The same for plain http: only what the operator allows.
    pub fn unencrypted(self, lookups: Lookups) -> impl Resolve + 'static {
        GuardedResolver {
            may_reach: move |address| self.is_allowed(address),
            lookups,
        }
    }
}

struct GuardedResolver<F> {
    may_reach: F,
    lookups: Lookups,
}

impl<F: Fn(IpAddr) -> bool + Clone + Send + Sync + 'static> Resolve for GuardedResolver<F> {
    fn resolve(&self, name: Name) -> Resolving {
        let (may_reach, lookups) = (self.may_reach.clone(), self.lookups.clone());
        Box::pin(async move {
            let found = lookups.find(name.as_str()).await;
            let found = found.filter(|found| !found.is_empty()).ok_or(GuardError::UnknownName)?;
            let reachable: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| may_reach(address.ip()))
                .collect();
            if reachable.is_empty() {
                return Err(GuardError::Address.into());
            }
            Ok(Box::new(reachable.into_iter()) as Addrs)
        })
    }
}

/// Networks of IPv4 that are not for everybody: IANA's registry of special purposes (RFC 6890), multicast, reserved; and
/// 168.63.129.16, Azure's own service, which is in none.
#[allow(clippy::ip_constant, reason = "one row of a table")]
const SPECIAL_V4: [(Ipv4Addr, u8); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3), // multicast and reserved
];

/// Within the global unicast addresses of IPv6 (2000::/3), what is not for everybody: protocol assignments with Teredo,
/// documentation, 6to4, AS112, documentation.
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.segments() {
            // NAT64 (RFC 6052): the way of a network without IPv4 to a host that has nothing else.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                is_public_v4(Ipv4Addr::new(a, b, c, d))
            }
            segments => {
                segments[0] & 0xe000 == 0x2000
                    && !SPECIAL_V6.iter().any(|(network, length)| {
                        let shift = 128 - u32::from(*length);
                        u128::from(address) >> shift == u128::from(*network) >> shift
                    })
            }
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|(network, length)| {
        let shift = 32 - u32::from(*length);
        u32::from(address) >> shift == u32::from(*network) >> shift
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn addresses_of_every_special_kind_are_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:1:2:3:4:5:6",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "8000::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_let_through() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2400:3200::1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn an_allowed_network_is_reached_plainly_too_and_no_other() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().expect("a network")]);
        let check = |text: &str| guard.check_url(&WebhookUrl::parse(text).expect("a URL"));
        for good in [
            "http://10.1.2.3/",
            "https://10.1.2.3/",
            "http://[::ffff:10.1.2.3]/",
            "https://8.8.8.8/",
            "http://intranet/",
            "https://a.example/",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("https://10.2.0.1/"), Err(GuardError::Address));
        for plain in ["http://10.2.0.1/", "http://8.8.8.8/", "http://127.1/"] {
            assert_eq!(check(plain), Err(GuardError::Unencrypted), "{plain}");
        }
        let closed = Guard::new(vec![]);
        let plain = WebhookUrl::parse("http://a.example/").expect("a URL");
        assert_eq!(closed.check_url(&plain), Err(GuardError::Unencrypted));
    }

    proptest! {
        /// However an address of IPv4 is wrapped, it is judged as itself, or refused.
        #[test]
        fn an_embedded_address_is_never_better_than_it_is_alone(bits: u32) {
            let plain = Ipv4Addr::from(bits);
            let wrapped = |high: u128, shift: u32| IpAddr::from(Ipv6Addr::from(high | u128::from(bits) << shift));
            for address in [wrapped(0xffff << 32, 0), wrapped(0, 0), wrapped(0x64_ff9b << 96, 0), wrapped(0x2002 << 112, 80), wrapped(0x2001 << 112, 0)] {
                prop_assert!(!is_public(address) || is_public_v4(plain), "{address}");
            }
        }
    }
}
