import TrammelCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The route that a request fell to, and how much of its path the route's condition matched.
struct RouteMatch {
    let route: RouteProgram.Route
    let matchedPrefixLength: Int
}

extension RouteProgram {
    /// The first route with an alternative whose conditions all hold. `port` is the one that was asked for.
    @inline(__always)
    func match<Trace: DecisionTrace>(_ call: Call, port: UInt16, trace: inout Trace) -> RouteMatch? {
        for index in 0..<routes.count {
            let span = routes[index].alternatives
            if span.isEmpty {
                trace.judged(route: index, of: self, holds: true)
                return RouteMatch(route: routes[index], matchedPrefixLength: matchedPrefix(nil, call))
            }
            var alternative = span.lower
            while alternative < span.upper {
                if holds(alternative, call, port, trace: &trace) {
                    trace.judged(route: index, of: self, holds: true)
                    return RouteMatch(route: routes[index], matchedPrefixLength: matchedPrefix(alternative, call))
                }
                alternative &+= 1
            }
            trace.judged(route: index, of: self, holds: false)
        }
        return nil
    }

    /// Whether any route is for this caller and this port at all, whatever the request says. Istio leaves the others out
    /// of the routes that it gives to a proxy, and where nothing is left the VirtualService does not apply: the service
    /// is called as if there were none (istio/istio pilot/pkg/networking/core/route/route.go,
    /// `BuildHTTPRoutesForVirtualService`). Asked only when nothing has matched.
    @inline(never)
    func applies(to call: Call, port: UInt16) -> Bool {
        routes.contains { route in
            route.alternatives.isEmpty
                || alternatives[route.alternatives.lower..<route.alternatives.upper].contains { alternative in
                    conditions[alternative.conditions.lower..<alternative.conditions.upper].allSatisfy {
                        !$0.subject.isOfTheConnection || holds($0, call, port)
                    }
                }
        }
    }

    @inline(__always)
    private func holds<Trace: DecisionTrace>(
        _ alternative: Int, _ call: Call, _ port: UInt16, trace: inout Trace
    ) -> Bool {
        let span = alternatives[alternative].conditions
        var index = span.lower
        var all = true
        while index < span.upper, all || Trace.hearsAll {
            let holds = holds(conditions[index], call, port)
            trace.judged(condition: index, of: self, holds: holds)
            if !holds { all = false }
            index &+= 1
        }
        trace.judged(alternative: alternative, of: self, holds: all)
        return all
    }

    /// A prefix's own length; the whole path for an exact or regex condition; the leading slash where there is no
    /// condition on the path, as Envoy takes such a route for `prefix: /`.
    private func matchedPrefix(_ alternative: Int?, _ call: Call) -> Int {
        if let alternative {
            let span = alternatives[alternative].conditions
            // The condition on the path is always the first.
            if !span.isEmpty, conditions[span.lower].subject == .path {
                let condition = conditions[span.lower]
                return condition.test == .prefix ? Int(condition.operand.count) : Int(call.path.count)
            }
        }
        return min(1, Int(call.path.count))
    }

    @inline(__always)
    private func holds(_ condition: Condition, _ call: Call, _ port: UInt16) -> Bool {
        switch condition.subject {
        case .path: return satisfies(condition, call.request.bytes[call.path])
        case .header: return header(condition, call.request)
        case .method: return satisfies(condition, call.request.bytes[call.request.method]) != condition.isInverted
        case .authority:
            let authority = call.request.bytes[call.request.authority]
            return (satisfies(condition, authority) && !(condition.test == .presence && authority.isEmpty))
                != condition.isInverted
        case .scheme:
            let scheme = call.request.scheme.text
            let text = UnsafeRawBufferPointer(start: scheme.utf8Start, count: scheme.utf8CodeUnitCount)
            return satisfies(condition, text) != condition.isInverted
        case .query: return query(condition, call.request)
        case .port: return port == condition.port
        case .sourceNamespace:
            return call.source._withUnsafeGuaranteedRef { equals(arena[condition.operand], $0.namespace) }
        case .sourceLabel: return call.source._withUnsafeGuaranteedRef { label(condition, $0) }
        case .gateway: return false
        }
    }

    /// Whether `text` passes the condition's test.
    @inline(__always)
    private func satisfies(_ condition: Condition, _ text: UnsafeRawBufferPointer) -> Bool {
        let operand = arena[condition.operand]
        switch condition.test {
        case .exact:
            guard text.count == operand.count else { return false }
            return condition.ignoresCase ? text.equalsIgnoringCase(operand) : same(text, operand)
        case .prefix:
            guard text.count >= operand.count else { return false }
            let head = UnsafeRawBufferPointer(rebasing: text[..<operand.count])
            return condition.ignoresCase ? head.equalsIgnoringCase(operand) : same(head, operand)
        case .regex:
            guard let regex = condition.regex else { return false }
            return RegularExpression.matches(regex, text)
        case .presence: return true
        }
    }

    /// A field given several times is matched as one value, joined by commas, as Envoy does (RFC 9110 section 5.3).
    @inline(__always)
    private func header(_ condition: Condition, _ request: RequestView) -> Bool {
        let name = arena[condition.name]
        var first: ByteRange?
        for index in 0..<request.fields.count where has(request.fields[index], condition.known, name, request) {
            if let first { return joinedHeader(condition, request, first, from: index) }
            first = request.fields[index].value
            if condition.test == .presence { break }
        }
        guard let first else {
            // Missing: empty to a condition that is inverted, so that `withoutHeaders` holds.
            guard condition.isInverted else { return false }
            return condition.test == .presence || !satisfies(condition, UnsafeRawBufferPointer(start: nil, count: 0))
        }
        return satisfies(condition, request.bytes[first]) != condition.isInverted
    }

    @inline(__always)
    private func has(
        _ field: HeaderField, _ known: FieldName, _ name: UnsafeRawBufferPointer, _ request: RequestView
    ) -> Bool {
        guard field.known == known else { return false }
        return known != .other || request.bytes[field.name].equalsIgnoringCase(name)
    }

    /// The rare case of a repeated field; `first` is its first value, the second stands at `from`.
    @inline(never)
    private func joinedHeader(
        _ condition: Condition, _ request: RequestView, _ first: ByteRange, from second: Int
    ) -> Bool {
        let name = arena[condition.name]
        var capacity = Int(first.count)
        for index in second..<request.fields.count where has(request.fields[index], condition.known, name, request) {
            capacity += 1 + Int(request.fields[index].value.count)
        }
        return withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
            buffer.copyBytes(from: request.bytes[first])
            var count = Int(first.count)
            for index in second..<request.fields.count
            where has(request.fields[index], condition.known, name, request) {
                let value = request.bytes[request.fields[index].value]
                buffer[count] = UInt8(ascii: ",")
                UnsafeMutableRawBufferPointer(rebasing: buffer[(count + 1)...]).copyBytes(from: value)
                count += 1 + value.count
            }
            return satisfies(condition, UnsafeRawBufferPointer(rebasing: buffer[..<count])) != condition.isInverted
        }
    }

    /// The first parameter of that name counts; it is compared as sent, not decoded, as Envoy does.
    private func query(_ condition: Condition, _ request: RequestView) -> Bool {
        let name = arena[condition.name]
        let query = request.bytes[request.query]
        var start = 0
        while start < query.count {
            var end = start
            var equals = -1
            while end < query.count, query[end] != UInt8(ascii: "&") {
                if equals < 0, query[end] == UInt8(ascii: "=") { equals = end }
                end &+= 1
            }
            let nameEnd = equals < 0 ? end : equals
            if same(UnsafeRawBufferPointer(rebasing: query[start..<nameEnd]), name) {
                return satisfies(condition, UnsafeRawBufferPointer(rebasing: query[min(nameEnd + 1, end)..<end]))
            }
            start = end &+ 1
        }
        return false
    }

    private func label(_ condition: Condition, _ source: Source) -> Bool {
        for label in source.labels where equals(arena[condition.name], label.name) {
            return equals(arena[condition.operand], label.value)
        }
        return false
    }

    private func equals(_ bytes: UnsafeRawBufferPointer, _ other: [UInt8]) -> Bool {
        other.withUnsafeBytes { same(bytes, $0) }
    }

    @inline(__always)
    private func same(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        guard a.count > 0, let start = a.baseAddress, let other = b.baseAddress else { return true }
        return memcmp(start, other, a.count) == 0
    }
}

extension RouteProgram.Condition.Subject {
    /// Known before a request is.
    fileprivate var isOfTheConnection: Bool {
        switch self {
        case .port, .sourceNamespace, .sourceLabel, .gateway: true
        case .path, .scheme, .method, .authority, .header, .query: false
        }
    }
}
