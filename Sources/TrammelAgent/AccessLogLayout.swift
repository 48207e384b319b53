import Glibc
package import TrammelConfig
import TrammelCore
import TrammelTelemetry

/// The access log's layout: what the settings say of it, and what the writer of the log makes of that.
extension AgentSettings.AccessLog {
    /// What is wrong with a piece of it, for whoever reads the settings.
    package static func problem(in piece: LogLayoutPiece) -> LogLayoutProblem? {
        do throws(LogFormatProblem) {
            switch piece {
            case .pattern(let pattern):
                // As a value: text without a command is one, too.
                _ = try LogPlan(.object([LogTemplate.Member("value", .pattern(pattern))]), .init(hostname: ""))
            case .fields(let names):
                _ = try LogTemplate.fields(names)
            }
            return nil
        } catch {
            return LogLayoutProblem(
                message: error.message, hint: error.hint, unknown: error.unknown, known: error.known)
        }
    }

    /// - Parameter node: the node's name, which `%HOSTNAME%` shows.
    /// - Throws: `TrammelError` for a layout that `problem(in:)` would have told of.
    func layout(node: String) throws -> AccessLogFormat {
        do throws(LogFormatProblem) {
            let template: LogTemplate
            switch format {
            case .json:
                guard let fields else { return .json }
                template = try .fields(fields)
            case .text: template = .istioText
            case .pattern(let pattern): template = .pattern(pattern)
            case .object(let members): template = .object(members.map(LogTemplate.Member.init))
            }
            return .plan(try LogPlan(template, .init(hostname: node, environment: Self.environment)))
        } catch {
            throw TrammelError(
                .invalid, code: "access-log-format", "accessLog.format: \(error.message)",
                hint: error.hint ?? "`trammeld --check-config` names the place")
        }
    }

    private static var environment: [String: String] {
        var all: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { all[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return all
    }
}

extension LogTemplate.Member {
    fileprivate init(_ member: AgentSettings.AccessLog.Member) {
        self.init(member.key, LogTemplate(member.value))
    }
}

extension LogTemplate {
    fileprivate init(_ value: AgentSettings.AccessLog.Value) {
        switch value {
        case .pattern(let text): self = .pattern(text)
        case .json(let text): self = .json(text)
        case .object(let members): self = .object(members.map(Member.init))
        case .list(let values): self = .list(values.map { LogTemplate($0) })
        }
    }
}
