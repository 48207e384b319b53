import Glibc
import TrammelControlAPI
import TrammelCore

/// A point in time by two clocks: that on the wall, which may be set, and that of the kernel since the boot, which may not and
/// goes on while the machine sleeps.
struct ClockReading: Sendable {
    let wall: WallTime
    /// Nanoseconds.
    let sinceBoot: Int64

    static func now() -> ClockReading {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return ClockReading(wall: .now(), sinceBoot: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Whether something keeps the clock right, by systemd's word: the call that asks the kernel itself is of those that the
    /// unit's sandbox has taken away. Nil where systemd does not say.
    static func isSynchronised() -> Bool? {
        guard access("/run/systemd/system", F_OK) == 0,
            let answer = try? BoundedCommand.run(
                "/usr/bin/timedatectl", ["show", "--property=NTPSynchronized", "--value"])
        else { return nil }
        return answer.output == "yes\n" ? true : answer.output == "no\n" ? false : nil
    }
}

extension DoctorChecks {
    /// - Parameter isSynchronised: nothing here depends on it yet, so that it is told and is no finding.
    static func clock(since start: ClockReading, now: ClockReading, isSynchronised: Bool?) -> DoctorCheck {
        let set = (now.wall.nanoseconds - start.wall.nanoseconds) - (now.sinceBoot - start.sinceBoot)
        let word =
            switch isSynchronised {
            case true?: "something keeps it right"
            case false?: "nothing that the kernel knows of keeps it right (NTP)"
            case nil: "whether something keeps it right is not known"
            }
        // An NTP client may turn it by 500 ppm, which is 43 s a day.
        let allowed = 2_000_000_000 + (now.sinceBoot - start.sinceBoot) / 2000
        guard abs(set) > allowed else { return DoctorCheck("clock", .ok, "nobody has set it since the start; \(word)") }
        return DoctorCheck(
            "clock", .warning,
            "it was set by \(set > 0 ? "+" : "")\(set / 1_000_000_000) s while the agent ran; \(word)",
            meaning: "Times in logs, graphs and metrics from before do not fit those since.",
            advice: "have it kept by one service (timedatectl set-ntp true), and read older times with that in mind")
    }
}
