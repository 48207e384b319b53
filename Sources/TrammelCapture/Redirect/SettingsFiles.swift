import CNetfilter
import Glibc
import TrammelCore

/// The sysctls that a capture needs on, kept open: to read them again takes no change of namespace and no path, whose
/// lookup in /proc/sys/net takes the longer the more namespaces there are. Keeps no namespace alive.
final class SettingsFiles: Sendable {
    private let files: [CInt]

    /// Opens them in the network namespace of the calling thread; one that is not there is left out.
    init(_ mode: CaptureMode) {
        files = NamespaceSettings.names(for: mode)
            .map { open(NamespaceSettings.path($0), O_RDONLY | O_CLOEXEC) }.filter { $0 >= 0 }
    }

    deinit {
        for file in files { close(file) }
    }

    /// Whether all are on, or the namespace has gone.
    var areOn: Bool {
        files.allSatisfy { file in
            var first: UInt8 = 0
            return pread(file, &first, 1, 0) != 1 || first == UInt8(ascii: "1")
        }
    }
}
