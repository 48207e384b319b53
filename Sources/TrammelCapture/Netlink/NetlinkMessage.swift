import CNetfilter

/// One netlink message as a value: the 16-byte header, a fixed part, and attributes (RFC 3549 section 2.2; the
/// kernel's `struct nlmsghdr` and `struct nlattr`). Lengths and padding are kept right by every mutation.
struct NetlinkMessage: Equatable, Sendable {
    static let headerLength = 16

    private(set) var bytes: [UInt8]

    init(type: UInt16, flags: UInt16) {
        bytes = [UInt8](repeating: 0, count: NetlinkMessage.headerLength)
        store(type, at: 4)
        store(flags, at: 6)
        seal()
    }

    /// Takes over a finished message, as libnftnl builds them.
    init(copying header: UnsafePointer<nlmsghdr>) {
        bytes = Array(UnsafeRawBufferPointer(start: header, count: Int(header.pointee.nlmsg_len)))
        pad()
    }

    var type: UInt16 { load(at: 4) }
    var flags: UInt16 { load(at: 6) }

    mutating func setSequence(_ sequence: UInt32) { store(sequence, at: 8) }
    mutating func addFlags(_ more: Int32) { store(flags | UInt16(truncatingIfNeeded: more), at: 6) }

    /// Appends the fixed part that follows the header (`struct rtmsg`, `struct nfgenmsg`…). `T` is a plain C struct.
    mutating func append<T: BitwiseCopyable>(fixed value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
        pad()
        seal()
    }

    mutating func append(_ type: some BinaryInteger, bytes value: some Collection<UInt8>) {
        let length = UInt16(truncatingIfNeeded: 4 + value.count)
        withUnsafeBytes(of: (length, UInt16(truncatingIfNeeded: type))) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: value)
        pad()
        seal()
    }

    /// An attribute of one number, in host order; give it `.bigEndian` where the kernel wants network order.
    mutating func append<N: FixedWidthInteger & BitwiseCopyable>(_ type: some BinaryInteger, number: N) {
        withUnsafeBytes(of: number) { append(type, bytes: $0) }
    }

    /// An attribute that holds attributes.
    mutating func append(_ type: some BinaryInteger, nested body: (inout NetlinkMessage) -> Void) {
        let start = bytes.count
        append(UInt16(truncatingIfNeeded: type) | UInt16(NLA_F_NESTED), bytes: EmptyCollection())
        body(&self)
        store(UInt16(truncatingIfNeeded: bytes.count - start), at: start)
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    private mutating func seal() { store(UInt32(truncatingIfNeeded: bytes.count), at: 0) }

    private mutating func store<N: FixedWidthInteger & BitwiseCopyable>(_ value: N, at offset: Int) {
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: N.self) }
    }

    private func load(at offset: Int) -> UInt16 {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt16.self) }
    }
}

/// Attributes of a received message, read in place. An attribute whose length does not fit ends the reading, as the
/// kernel's own parser does.
struct NetlinkAttributes: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer.SubSequence

    /// - Parameter bytes: the message after its fixed part; valid only inside the closure that received it.
    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes[...] }

    mutating func next() -> NetlinkAttribute? {
        guard rest.count >= 4 else { return nil }
        let length = Int(UnsafeRawBufferPointer(rebasing: rest).loadUnaligned(as: UInt16.self))
        let type = UnsafeRawBufferPointer(rebasing: rest).loadUnaligned(fromByteOffset: 2, as: UInt16.self)
        guard length >= 4, length <= rest.count else { return nil }
        let value = UnsafeRawBufferPointer(rebasing: rest.dropFirst(4).prefix(length - 4))
        rest = rest.dropFirst(Swift.min((length + 3) & ~3, rest.count))
        // The two high bits are flags: nested, and byte order.
        return NetlinkAttribute(type: Int(type & 0x3FFF), bytes: value)
    }
}

struct NetlinkAttribute {
    let type: Int
    let bytes: UnsafeRawBufferPointer

    var nested: NetlinkAttributes { NetlinkAttributes(bytes) }

    /// The value as a number of exactly this width, as it lies in memory; nil for any other length.
    func number<N: FixedWidthInteger & BitwiseCopyable>(_: N.Type) -> N? {
        bytes.count == MemoryLayout<N>.size ? bytes.loadUnaligned(as: N.self) : nil
    }

    /// The value as text up to its NUL.
    var text: String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
}

extension UnsafeRawBufferPointer {
    /// A C struct at the front of a message, or nil where the message is too short for it.
    func leading<T: BitwiseCopyable>(_: T.Type) -> (T, UnsafeRawBufferPointer)? {
        let size = MemoryLayout<T>.size
        guard count >= size else { return nil }
        let aligned = Swift.min((size + 3) & ~3, count)
        return (loadUnaligned(as: T.self), UnsafeRawBufferPointer(rebasing: self[aligned...]))
    }
}
