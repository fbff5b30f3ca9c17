//! A link as a QR code (ISO/IEC 18004), drawn as SVG.

use std::fmt::Write as _;

use fast_qr::{ECL, QRBuilder};

use super::super::error::ApiError;

/// Modules of light around the code, as the standard asks for.
const QUIET_ZONE: usize = 4;

/// An SVG image of one unit for each module.
pub(super) fn svg(link: &str) -> Result<String, ApiError> {
    let code = QRBuilder::new(link).ecl(ECL::M).build();
    let code = code.map_err(|_| ApiError::invalid("Origin", "is too long for a QR code"))?;
    let side = code.size + 2 * QUIET_ZONE;
    let mut dark = String::new();
    for row in 0..code.size {
        for column in (0..code.size).filter(|column| code[row][*column].value()) {
            write!(dark, "M{} {}h1v1h-1z", column + QUIET_ZONE, row + QUIET_ZONE).expect("a String takes all");
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{dark}\"/></svg>"
    ))
}
