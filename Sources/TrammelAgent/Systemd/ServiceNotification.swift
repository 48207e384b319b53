import Glibc

/// Tells the service manager that started the agent how it is with it (sd_notify(3)): units that come after the agent wait
/// until it has taken up the workloads that it knows.
enum ServiceNotification {
    static func ready() { send("READY=1") }
    static func stopping() { send("STOPPING=1") }

    /// Nothing where no manager asked to be told.
    private static func send(_ state: String) {
        guard let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), "/@".contains(name.prefix(1)) else {
            return
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        // An abstract name begins with a zero byte.
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = MemoryLayout<sa_family_t>.size + bytes.count
        let text = Array(state.utf8)
        withUnsafePointer(to: &address) {
            // The kernel reads a sockaddr of the length given; sockaddr_un is one.
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(descriptor, text, text.count, CInt(MSG_NOSIGNAL), $0, socklen_t(length))
            }
        }
    }
}
