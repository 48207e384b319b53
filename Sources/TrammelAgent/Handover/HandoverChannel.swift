import CTrammelLinux
import Foundation
import Glibc
import TrammelCore

/// One end of the pair of sockets between two agents: whole messages, with open descriptors beside them. It has no name in
/// any file system, so nobody else can come to it.
final class HandoverChannel: Sendable {
    private let descriptor: CInt

    /// Above it a message goes in a file in memory, for the kernel takes only so much at once.
    private static let longest = 32 << 10

    /// Takes it over.
    init(adopting descriptor: CInt) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// - Returns: this end, and the other, which is the caller's to close.
    static func pair() throws -> (HandoverChannel, CInt) {
        var ends: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw failure("make a pair of sockets", errno)
        }
        return (HandoverChannel(adopting: ends[0]), ends[1])
    }

    /// Waits for room, for as long as the other one lives.
    func send(_ message: HandoverMessage, with descriptors: [CInt] = []) throws {
        let text = Array(try JSONEncoder().encode(message))
        guard text.count > Self.longest else { return try send([0] + text, descriptors) }
        let file = trammel_memory_file(text, text.count)
        guard file >= 0 else { throw Self.failure("put a message in memory", -file) }
        defer { close(file) }
        try send([1], descriptors + [file])
    }

    private func send(_ bytes: [UInt8], _ descriptors: [CInt]) throws {
        let failure = trammel_send_descriptors(
            descriptor, bytes, bytes.count, descriptors, descriptors.count, nil, 0)
        guard failure == 0 else { throw Self.failure("speak to the other agent", failure) }
    }

    /// Waits for the next message.
    /// - Parameter patience: seconds; nil: for as long as the other one lives.
    /// - Returns: the message and its descriptors, which are the caller's to close; nil at the end.
    func receive(within patience: Int? = nil) throws -> (HandoverMessage, [CInt])? {
        var limit = timeval(tv_sec: patience ?? 0, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var count = Int(TRAMMEL_MOST_DESCRIPTORS)
        var descriptors = [CInt](repeating: -1, count: count)
        var bytes = [UInt8](repeating: 0, count: Self.longest + 1)
        let length = trammel_receive_descriptors(descriptor, &bytes, bytes.count, &descriptors, &count)
        if length == 0 || length == -Int(ECONNRESET) { return nil }
        guard length > 0 else {
            if length == -Int(EAGAIN) {
                throw TrammelError(
                    .unavailable, code: "handover-slow", "the other agent said nothing for \(patience ?? 0) s")
            }
            throw Self.failure("hear the other agent", CInt(-length))
        }
        descriptors.removeLast(descriptors.count - count)
        do {
            var text = Data(bytes[1..<length])
            if bytes[0] == 1, let file = descriptors.popLast() {
                text = try FileHandle(fileDescriptor: file, closeOnDealloc: true).readToEnd() ?? Data()
            }
            return (try JSONDecoder().decode(HandoverMessage.self, from: text), descriptors)
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw TrammelError(
                .invalid, code: "handover-message", "the other agent said what this one does not understand: \(error)",
                hint: "if the two are far apart in version, use `systemctl restart trammeld`")
        }
    }

    private static func failure(_ doing: String, _ code: CInt) -> TrammelError {
        TrammelError(.unavailable, code: "handover", "cannot \(doing): \(String(cString: strerror(code)))")
    }
}

extension OwnThread {
    /// Runs what waits in the kernel on a thread of its own, and returns what it returns.
    static func result<R: Sendable>(
        _ name: StaticString, _ body: @escaping @Sendable () throws -> R
    ) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            let failure = OwnThread.start(name) { continuation.resume(with: Result { try body() }) }
            guard failure != 0 else { return }
            continuation.resume(
                throwing: TrammelError(
                    .unavailable, code: "thread", "cannot start a thread: \(String(cString: strerror(failure)))"))
        }
    }
}
