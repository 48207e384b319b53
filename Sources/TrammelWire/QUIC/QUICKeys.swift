import CNettle

/// The keys of a client's Initial packets. Everybody on the way can derive them from the connection id that the client
/// has chosen for the server: they keep nothing secret, and prove only that what was sent has not been garbled.
struct QUICKeys: Sendable {
    private let key: [UInt8]
    private let iv: [UInt8]
    private let protection: [UInt8]

    static let tagLength = 16
    static let sampleLength = 16

    /// - Parameter connectionID: the destination's, of the client's first packet.
    init?(_ version: QUICVersion, connectionID: some Collection<UInt8>) {
        guard let secrets = version.secrets else { return nil }
        let initial = QUICKeys.hmac(secrets.salt, Array(connectionID))
        let client = QUICKeys.expand(initial, "client in", 32)
        key = QUICKeys.expand(client, secrets.key, 16)
        iv = QUICKeys.expand(client, secrets.iv, 12)
        protection = QUICKeys.expand(client, secrets.protection, 16)
    }

    /// What the header's first byte and the packet number are covered with (RFC 9001 section 5.4.3): the sample as one
    /// block of AES. Five bytes of it are used.
    func mask(_ sample: UnsafeRawBufferPointer) -> [UInt8] {
        var context = aes128_ctx()
        nettle_aes128_set_encrypt_key(&context, protection)
        var mask = [UInt8](repeating: 0, count: QUICKeys.sampleLength)
        nettle_aes128_encrypt(
            &context, mask.count, &mask, sample.baseAddress?.assumingMemoryBound(to: UInt8.self))
        return mask
    }

    /// The payload of a packet (RFC 9001 section 5.3); nil when the tag at its end is another.
    /// - Parameters:
    ///   - header: with the protection taken off.
    ///   - sealed: the payload and its tag; longer than the tag.
    func open(_ sealed: UnsafeRawBufferPointer, header: [UInt8], packetNumber: UInt64) -> [UInt8]? {
        let length = sealed.count - QUICKeys.tagLength
        guard length > 0, let bytes = sealed.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return nil }
        var context = sealing(header: header, packetNumber: packetNumber)
        var tag = [UInt8](repeating: 0, count: QUICKeys.tagLength)
        let payload = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            nettle_gcm_aes128_decrypt(&context, length, buffer.baseAddress, bytes)
            count = length
        }
        nettle_gcm_aes128_digest(&context, tag.count, &tag)
        return nettle_memeql_sec(tag, bytes + length, tag.count) != 0 ? payload : nil
    }

    /// The state of the seal once it has covered the header.
    func sealing(header: [UInt8], packetNumber: UInt64) -> gcm_aes128_ctx {
        var nonce = iv
        for index in 0..<8 { nonce[4 + index] ^= UInt8(truncatingIfNeeded: packetNumber >> UInt64(8 * (7 - index))) }
        var context = gcm_aes128_ctx()
        nettle_gcm_aes128_set_key(&context, key)
        nettle_gcm_aes128_set_iv(&context, nonce.count, nonce)
        nettle_gcm_aes128_update(&context, header.count, header)
        return context
    }

    // MARK: Derivation

    /// HMAC with SHA-256 (RFC 2104), which is also HKDF's first half (RFC 5869 section 2.2).
    private static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var context = hmac_sha256_ctx()
        nettle_hmac_sha256_set_key(&context, key.count, key)
        nettle_hmac_sha256_update(&context, message.count, message)
        var digest = [UInt8](repeating: 0, count: 32)
        nettle_hmac_sha256_digest(&context, digest.count, &digest)
        return digest
    }

    /// HKDF-Expand-Label (RFC 8446 section 7.1) without a context, for at most one block.
    private static func expand(_ secret: [UInt8], _ label: StaticString, _ length: UInt8) -> [UInt8] {
        let label = Array("tls13 \(label)".utf8)
        let info = [0, length, UInt8(truncatingIfNeeded: label.count)] + label + [0, 1]
        return Array(hmac(secret, info).prefix(Int(length)))
    }
}
