//! The framing of records in an event file, that of TensorFlow's TFRecord: length, its checksum, bytes, their checksum.

/// The record that holds `data`.
pub fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(crc32c(&length)), data, &masked(crc32c(data))].concat()
}

/// A checksum as it is stored: turned and moved, so that one over data with checksums in it stays a good one.
fn masked(checksum: u32) -> [u8; 4] {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32C: the polynomial of Castagnoli, whose bits in reversed order are those below (RFC 3720, section 12.1).
fn crc32c(data: &[u8]) -> u32 {
    let of_bit = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
    !data.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), of_bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
