/// Istio's `VirtualService` (networking/v1alpha3/virtual_service.proto): routes for what goes to `hosts`.
package struct VirtualServiceSpec: Sendable, Equatable {
    /// Empty in one that others delegate to.
    package var hosts: [String]
    /// Empty means `["mesh"]`. Without `mesh` in it the resource does not apply to captured traffic.
    package var gateways: [String]
    package var http: [HTTPRoute]
    /// For TLS that is passed through, by the name that the client asks for (SNI).
    package var tls: [StreamRoute]
    /// For connections that are neither HTTP nor matched by `tls`.
    package var tcp: [StreamRoute]
    package var exportTo: ExportTo

    package init(
        hosts: [String], gateways: [String] = [], http: [HTTPRoute] = [], tls: [StreamRoute] = [],
        tcp: [StreamRoute] = [], exportTo: ExportTo = .everywhere
    ) {
        self.hosts = hosts
        self.gateways = gateways
        self.http = http
        self.tls = tls
        self.tcp = tcp
        self.exportTo = exportTo
    }
}

/// One entry of `http`: the first whose match holds decides.
package struct HTTPRoute: Sendable, Equatable {
    package var name: String?
    /// ORed; empty matches every request.
    package var match: [HTTPMatch]
    package var action: Action
    package var rewrite: Rewrite?
    package var headers: HeaderOperations
    /// Nanoseconds; nil or zero for none.
    package var timeout: UInt64?
    package var location: SourceLocation

    package enum Action: Sendable, Equatable {
        case route([WeightedDestination])
        case redirect(Redirect)
        case directResponse(status: UInt16, body: [UInt8])
        /// The routes of another VirtualService, which names no hosts, each held together with this one's match.
        case delegate(Delegate)
    }

    package init(
        name: String? = nil, match: [HTTPMatch] = [], action: Action, rewrite: Rewrite? = nil,
        headers: HeaderOperations = HeaderOperations(), timeout: UInt64? = nil, location: SourceLocation
    ) {
        self.name = name
        self.match = match
        self.action = action
        self.rewrite = rewrite
        self.headers = headers
        self.timeout = timeout
        self.location = location
    }
}

/// Istio's `Delegate`.
package struct Delegate: Sendable, Equatable {
    package var name: String
    /// Of the VirtualService that is delegated to; the delegating one's own where absent.
    package var namespace: String
    package var location: SourceLocation

    package init(name: String, namespace: String, location: SourceLocation) {
        self.name = name
        self.namespace = namespace
        self.location = location
    }
}

/// Conditions that must all hold.
package struct HTTPMatch: Sendable, Equatable {
    package var name: String?
    package var uri: StringMatch?
    package var ignoreURICase = false
    package var scheme: StringMatch?
    package var method: StringMatch?
    package var authority: StringMatch?
    /// Names in lower case, in the order of the document.
    package var headers: [(name: String, match: StringMatch)] = []
    package var withoutHeaders: [(name: String, match: StringMatch)] = []
    package var queryParams: [(name: String, match: StringMatch)] = []
    package var port: UInt16?
    package var sourceLabels: [String: String] = [:]
    package var sourceNamespace: String?
    /// Empty means those of the VirtualService. Without `mesh` in it the match never holds for captured traffic.
    package var gateways: [String] = []
    package var location: SourceLocation

    package init(location: SourceLocation) { self.location = location }

    package static func == (a: HTTPMatch, b: HTTPMatch) -> Bool {
        func same(_ x: [(name: String, match: StringMatch)], _ y: [(name: String, match: StringMatch)]) -> Bool {
            x.elementsEqual(y) { $0.name == $1.name && $0.match == $1.match }
        }
        return a.name == b.name && a.uri == b.uri && a.ignoreURICase == b.ignoreURICase && a.scheme == b.scheme
            && a.method == b.method && a.authority == b.authority && same(a.headers, b.headers)
            && same(a.withoutHeaders, b.withoutHeaders) && same(a.queryParams, b.queryParams) && a.port == b.port
            && a.sourceLabels == b.sourceLabels && a.sourceNamespace == b.sourceNamespace && a.gateways == b.gateways
            && a.location == b.location
    }
}

/// Istio's `StringMatch`. `presence` is what an empty header match (`{}`) or the regex `*` means.
package enum StringMatch: Sendable, Hashable {
    case exact(String)
    case prefix(String)
    /// RE2 syntax, checked when decoded; the whole text must match.
    case regex(String)
    case presence
}

package struct WeightedDestination: Sendable, Equatable {
    package var destination: Destination
    /// Relative to the sum; a single destination gets everything.
    package var weight: UInt32
    package var headers: HeaderOperations

    package init(destination: Destination, weight: UInt32, headers: HeaderOperations = HeaderOperations()) {
        self.destination = destination
        self.weight = weight
        self.headers = headers
    }
}

package struct Destination: Sendable, Hashable {
    /// As written; a short name resolves in the namespace of the resource.
    package var host: String
    package var subset: String?
    package var port: UInt16?
    package var location: SourceLocation

    package init(host: String, subset: String? = nil, port: UInt16? = nil, location: SourceLocation) {
        self.host = host
        self.subset = subset
        self.port = port
        self.location = location
    }
}

package struct Rewrite: Sendable, Equatable {
    /// Replaces the matched prefix, or the whole path where the match was exact or regex.
    package var uri: String?
    package var authority: String?
    /// Instead of `uri`.
    package var uriRegex: RegexRewrite?

    package init(uri: String? = nil, authority: String? = nil, uriRegex: RegexRewrite? = nil) {
        self.uri = uri
        self.authority = authority
        self.uriRegex = uriRegex
    }
}

/// Istio's `RegexRewrite`: every part of the path that `match` (RE2 syntax) finds becomes `rewrite`, in which `\1` to `\9`
/// stand for what the groups caught.
package struct RegexRewrite: Sendable, Equatable {
    package var match: String
    package var rewrite: String

    package init(match: String, rewrite: String) {
        self.match = match
        self.rewrite = rewrite
    }
}

package struct Redirect: Sendable, Equatable {
    package var uri: String?
    package var authority: String?
    package var scheme: String?
    package var port: Port?
    /// 301, 302, 303, 307 or 308.
    package var code: UInt16

    package enum Port: Sendable, Equatable {
        case number(UInt16)
        case fromProtocolDefault
        case fromRequestPort
    }

    package init(
        uri: String? = nil, authority: String? = nil, scheme: String? = nil, port: Port? = nil, code: UInt16 = 301
    ) {
        self.uri = uri
        self.authority = authority
        self.scheme = scheme
        self.port = port
        self.code = code
    }
}

/// Istio's `Headers`: edits of the request and of the response.
package struct HeaderOperations: Sendable, Equatable {
    package var request = Edits()
    package var response = Edits()

    /// Names in lower case, in the order of the document.
    package struct Edits: Sendable, Equatable {
        package var set: [Field] = []
        package var add: [Field] = []
        package var remove: [String] = []

        package init(set: [Field] = [], add: [Field] = [], remove: [String] = []) {
            self.set = set
            self.add = add
            self.remove = remove
        }

        package var isEmpty: Bool { self.set.isEmpty && add.isEmpty && remove.isEmpty }
    }

    package struct Field: Sendable, Equatable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(request: Edits = Edits(), response: Edits = Edits()) {
        self.request = request
        self.response = response
    }
}
