package import TrammelCore

/// Where a redirect points, as far as it does not depend on the request.
package final class CompiledRedirect: Sendable {
    package let uri: [UInt8]
    package let authority: [UInt8]
    /// `http` or `https`; nil for the request's own.
    package let scheme: RequestView.Scheme?
    package let port: Port

    package enum Port: Sendable, Equatable {
        /// None was said: the request's own goes with its host.
        case unsaid
        case number(UInt16)
        case fromProtocolDefault
        case fromRequestPort
    }

    init(uri: [UInt8], authority: [UInt8], scheme: RequestView.Scheme?, port: Port) {
        self.uri = uri
        self.authority = authority
        self.scheme = scheme
        self.port = port
    }

    /// Appends the value of `Location` for `request`, which went to `port`.
    ///
    /// A new path takes the query of the request along unless it has one of its own. A port is left out where it is
    /// its scheme's default.
    package func appendLocation(for request: RequestView, port requestPort: UInt16, into out: inout [UInt8]) {
        let scheme = scheme ?? request.scheme
        append(scheme.text, to: &out)
        out += [UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "/")]

        let host = HostAndPort(
            authority.isEmpty ? Array(request.bytes[request.authority]) : authority)
        out += host.host
        let number: UInt16? =
            switch port {
            case .unsaid: host.port
            case .number(let number): number
            case .fromProtocolDefault: nil
            case .fromRequestPort: requestPort
            }
        // What was the default of the old scheme says nothing under the new one.
        let isOldDefault = port == .unsaid && authority.isEmpty && number == request.scheme.defaultPort
        if let number, number != scheme.defaultPort, !isOldDefault { out += Array(":\(number)".utf8) }

        let target = request.bytes[request.target]
        if uri.isEmpty {
            if target.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
            out += target
        } else {
            if uri.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
            out += uri
            if !uri.contains(UInt8(ascii: "?")), request.path.count < request.target.count {
                out += target[Int(request.path.count)...]
            }
        }
    }

    private func append(_ text: StaticString, to out: inout [UInt8]) {
        out += UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    private struct HostAndPort {
        let host: ArraySlice<UInt8>
        let port: UInt16?

        init(_ authority: [UInt8]) {
            guard let colon = authority.lastIndex(of: UInt8(ascii: ":")),
                !authority[colon...].contains(UInt8(ascii: "]"))
            else {
                host = authority[...]
                port = nil
                return
            }
            host = authority[..<colon]
            port = UInt16(String(decoding: authority[(colon + 1)...], as: UTF8.self))
        }
    }
}

extension RequestView.Scheme {
    fileprivate var defaultPort: UInt16 { self == .http ? 80 : 443 }
}

extension HTTPDecision {
    /// Whether the request goes on with another target than it came with.
    package var rewritesTarget: Bool {
        if let route { !route.rewrittenURI.isEmpty || route.uriRegex != nil } else { false }
    }

    /// Appends the target that the request goes on with: its own, or with the matched part of the path replaced, or
    /// every part of the path that a regular expression finds (Envoy's `prefix_rewrite` and `regex_rewrite`). The query
    /// stays. A target that is no path (`*`, or none) stays as it is, and a path begins with a slash whatever was
    /// written.
    package func appendTarget(of request: RequestView, into out: inout [UInt8]) {
        let target = request.bytes[request.target]
        guard let route, rewritesTarget, target.first == UInt8(ascii: "/") else {
            out += target
            return
        }
        if let (expression, substitution) = route.uriRegex {
            var path: [UInt8] = []
            expression.appendReplacing(request.bytes[request.path], with: substitution, to: &path)
            if path.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
            out += path
            out += UnsafeRawBufferPointer(rebasing: target[Int(request.path.count)...])
            return
        }
        if route.rewrittenURI.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
        out += route.rewrittenURI
        out += UnsafeRawBufferPointer(rebasing: target[min(matchedPrefixLength, target.count)...])
    }

    /// What the request's authority is replaced with; empty for nothing.
    package var authority: [UInt8] { destination?.authority ?? [] }
}
