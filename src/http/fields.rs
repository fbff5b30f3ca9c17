//! Header fields, wherever they stand: in actix's map, or still in the bytes that came over the connection.

use actix_web::http::header::HeaderMap;

/// The fields of one request.
pub(super) trait Fields {
    /// The values of all fields of that name (given in lower case), in the order in which they came.
    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]>;

    /// The value of the first field of that name.
    fn first(&self, name: &'static str) -> Option<&[u8]> {
        self.all(name).next()
    }
}

impl Fields for HeaderMap {
    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).map(|value| value.as_bytes())
    }
}

/// A parsed head has a dozen fields at most, as a rule: to look through them costs less than to build a map.
impl Fields for [httparse::Header<'_>] {
    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }
}
