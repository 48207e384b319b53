import Foundation
import Glibc
import TrammelCore

/// Has a service that dies over and over start ever more slowly. systemd starts it anew at once and without an end, for new
/// connections wait for it; what cannot live would else keep a processor and the journal busy.
package struct RestartPacing: Sendable {
    private let file: String

    /// Notes a start, and waits if there were many of late. To be called first of all: what is wrong may be anything.
    /// - Returns: nil for what no service manager has started.
    package static func begin() async -> RestartPacing? {
        guard ServiceNotification.isWanted, getenv(Inheritance.variable) == nil,
            let folder = getenv("RUNTIME_DIRECTORY").map({ String(cString: $0) })
        else { return nil }
        let pacing = RestartPacing(folder: String(folder.prefix { $0 != ":" }))
        let (count, pause) = pacing.note(.now())
        if pause > .zero {
            ServiceNotification.status("start \(count) within a minute: it waits \(pause) before it goes on")
            try? await Task.sleep(for: pause)
        }
        return pacing
    }

    init(folder: String) { file = "\(folder)/starts" }

    /// It has come to its end in order, and what was before is no matter any more.
    package func end() { unlink(file) }

    /// - Returns: how many starts there were within a minute, with this one, and how long this one is to wait.
    func note(_ now: MonotonicTime) -> (count: Int, pause: Duration) {
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        // Of another boot, some may lie ahead.
        let before = text.split(separator: "\n").compactMap { UInt64($0) }
            .filter { $0 <= now.nanoseconds && now.nanoseconds - $0 < Self.window }
        let starts = (before + [now.nanoseconds]).suffix(Self.most)
        let lines = starts.map { "\($0)\n" }.joined()
        // A disk that is full is no reason not to start.
        try? lines.write(toFile: file, atomically: true, encoding: .utf8)
        return (starts.count, Self.pause(starts.count))
    }

    /// - Parameter starts: within a minute. The first five do not wait, and the tenth waits as long as any.
    static func pause(_ starts: Int) -> Duration {
        starts <= 5 ? .zero : .milliseconds(min(8000, 250 << min(starts - 6, 8)))
    }

    /// Nanoseconds.
    private static let window: UInt64 = 60_000_000_000
    private static let most = 16
}
