import Glibc
import TrammelControlAPI
import TrammelCore

/// What runs beneath the agent.
struct NodeVersions: Sendable {
    /// `6.1.0-18-amd64`.
    var kernel: String
    /// Nil where systemd does not run.
    var systemd: Int?
    /// `v1.0.6`; nil where the program is not installed, which the agent does without.
    var nft: String?

    static func read() -> NodeVersions {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        var versions = NodeVersions(kernel: release)
        if access("/run/systemd/system", F_OK) == 0 {
            versions.systemd = words(["/usr/bin/systemctl", "/bin/systemctl"]).dropFirst().first.flatMap { Int($0) }
        }
        versions.nft = words(["/usr/sbin/nft", "/sbin/nft"]).first { $0.hasPrefix("v") }
        return versions
    }

    private static func words(_ programs: [String]) -> [String] {
        guard let program = programs.first(where: { access($0, X_OK) == 0 }),
            let answer = try? BoundedCommand.run(program, ["--version"])
        else { return [] }
        return answer.output.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    /// Major and minor; nil where it is named in another way.
    var kernelNumber: (Int, Int)? {
        let numbers = kernel.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
}

extension DoctorChecks {
    static func versions(_ versions: NodeVersions) -> DoctorCheck {
        let systemd = versions.systemd.map { "systemd \($0)" } ?? "no systemd"
        let found = "Linux \(versions.kernel), \(systemd), \(versions.nft.map { "nft \($0)" } ?? "no nft to look with")"
        if let number = versions.kernelNumber, number < (5, 13) {
            return DoctorCheck(
                "versions", .warning, "\(found); expected Linux 5.13 at least",
                meaning: "nftables knows no cgroups there: units, cgroups and users cannot be captured.",
                advice: "run a newer kernel, or attach network namespaces only")
        }
        // The way that the unit is written, and the options of systemctl that are used.
        if let systemd = versions.systemd, systemd < 247 {
            return DoctorCheck(
                "versions", .warning, "\(found); expected systemd 247 at least",
                meaning: "Settings of trammeld.service that it does not know are not in effect.",
                advice: "see what it says of them: systemd-analyze verify trammeld.service")
        }
        return DoctorCheck("versions", .ok, found)
    }
}
