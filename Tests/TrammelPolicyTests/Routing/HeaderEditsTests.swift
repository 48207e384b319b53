import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Header edits of a route and its destination")
struct HeaderEditsTests {
    typealias Field = HeaderOperations.Field

    private func decision(
        route: HeaderOperations = HeaderOperations(), destination: HeaderOperations = HeaderOperations(),
        rewrite: Rewrite? = nil
    ) -> (HeldDecision, Mesh) {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews",
            .route([], to: [.to("reviews/v1", headers: destination)], rewrite: rewrite, headers: route)
        ).mesh()
        return (mesh.decide("GET /\nhost: reviews"), mesh)
    }

    private func drops(_ edits: HeaderEdits?, _ name: String) -> Bool {
        Array(name.utf8).withUnsafeBytes { edits?.drops($0) ?? false }
    }

    private func lines(_ edits: HeaderEdits?) -> String { String(decoding: edits?.lines ?? [], as: UTF8.self) }

    @Test("set replaces, add appends, remove drops; on the request and the response")
    func operations() {
        let (decision, mesh) = decision(
            route: HeaderOperations(
                request: .init(set: [Field(name: "a", value: "1")], add: [Field(name: "b", value: "2")], remove: ["c"]),
                response: .init(add: [Field(name: "server", value: "x")])))
        withExtendedLifetime(mesh) {
            #expect(lines(decision.requestEdits) == "a: 1\r\nb: 2\r\n")
            for name in ["a", "A", "c", "C"] { #expect(drops(decision.requestEdits, name)) }
            for name in ["b", "d", "", "ab"] { #expect(!drops(decision.requestEdits, name)) }
            #expect(lines(decision.responseEdits) == "server: x\r\n")
            #expect(!drops(decision.responseEdits, "server"))
        }
    }

    @Test("no operations, nothing to do")
    func none() {
        let (decision, mesh) = decision()
        withExtendedLifetime(mesh) {
            #expect(decision.requestEdits == nil)
            #expect(decision.responseEdits == nil)
        }
    }

    private let routes = HeaderOperations(
        request: .init(
            set: [Field(name: "a", value: "route"), Field(name: "e", value: "route")],
            add: [Field(name: "b", value: "route")], remove: ["c"]))
    private let destinations = HeaderOperations(
        request: .init(
            set: [Field(name: "a", value: "destination"), Field(name: "d", value: "destination")],
            add: [Field(name: "b", value: "destination"), Field(name: "c", value: "destination")], remove: ["e"]))

    @Test("a lone destination's come after the route's, but for what is removed, which goes first")
    func levels() {
        let (decision, mesh) = decision(route: routes, destination: destinations)
        withExtendedLifetime(mesh) {
            let expected = [
                "e: route", "b: route", "a: destination", "d: destination", "b: destination", "c: destination",
            ]
            let found = lines(decision.requestEdits)
            #expect(found == expected.joined(separator: "\r\n") + "\r\n")
            for name in ["a", "c", "d", "e"] { #expect(drops(decision.requestEdits, name)) }
        }
    }

    @Test("those of one destination among several come first, the route's after them")
    func levelsOfSeveral() {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews",
            .route(
                [],
                to: [
                    .to("reviews/v1", weight: 1, headers: destinations),
                    .to("reviews/v2", weight: 1, headers: destinations),
                ], headers: routes)
        ).mesh()
        let expected = ["d: destination", "b: destination", "a: route", "e: route", "b: route"]
        let found = lines(mesh.decide("GET /\nhost: reviews").requestEdits)
        #expect(found == expected.joined(separator: "\r\n") + "\r\n")
    }

    @Test("a local response carries the route's edits of the response")
    func localResponse() {
        let route = HTTPRoute(
            action: .directResponse(status: 418, body: []),
            headers: HeaderOperations(response: .init(set: [Field(name: "x", value: "y")])),
            location: SourceLocation(file: "x", line: 1))
        let mesh = Fixture.bookinfo.virtualService("reviews", route).mesh()
        let decision = mesh.decide("GET /\nhost: reviews")
        withExtendedLifetime(mesh) { #expect(lines(decision.responseEdits) == "x: y\r\n") }
    }

    @Test(
        "set of host rewrites the authority: rewrite over route over destination"
    )
    func authority() {
        func authority(_ route: String?, _ rewrite: String?, _ destination: String?) -> String {
            func set(_ value: String?) -> HeaderOperations {
                HeaderOperations(request: .init(set: value.map { [Field(name: "host", value: $0)] } ?? []))
            }
            let (decision, mesh) = decision(
                route: set(route), destination: set(destination), rewrite: rewrite.map { Rewrite(authority: $0) })
            #expect(mesh.warnings.isEmpty)
            #expect(decision.requestEdits == nil)
            return withExtendedLifetime(mesh) { String(decoding: decision.authority, as: UTF8.self) }
        }
        #expect(authority(nil, nil, nil) == "")
        #expect(authority("route", nil, nil) == "route")
        #expect(authority("route", "rewrite", nil) == "rewrite")
        #expect(authority(nil, nil, "destination") == "destination")
        #expect(authority("route", nil, "destination") == "route")
        #expect(authority("route", "rewrite", "destination") == "rewrite")
    }

    @Test(
        "what must not be edited is left alone, with a warning",
        arguments: [
            HeaderOperations.Edits(remove: ["host"]), .init(remove: [":path"]), .init(remove: ["content-length"]),
            .init(set: [Field(name: ":path", value: "/")]), .init(add: [Field(name: "connection", value: "close")]),
            .init(set: [Field(name: "transfer-encoding", value: "chunked")]),
            .init(set: [Field(name: "a b", value: "")]),
            .init(set: [Field(name: "", value: "x")]), .init(set: [Field(name: "x", value: "a\r\nb: c")]),
            .init(add: [Field(name: "x", value: "a\u{0}")]),
        ])
    func refused(_ edits: HeaderOperations.Edits) {
        for operations in [HeaderOperations(request: edits), HeaderOperations(response: edits)] {
            let (decision, mesh) = decision(route: operations)
            withExtendedLifetime(mesh) {
                #expect(decision.requestEdits == nil)
                #expect(decision.responseEdits == nil)
                #expect(mesh.warnings.map(\.code) == [.withoutEffect])
            }
        }
    }

    @Test("a command of Envoy's stays as it is written, with a warning; a bare percent sign is nothing special")
    func commands() {
        func warned(_ value: String) -> Bool {
            let (decision, mesh) = decision(
                route: HeaderOperations(request: .init(set: [Field(name: "x", value: value)])))
            withExtendedLifetime(mesh) { #expect(lines(decision.requestEdits) == "x: \(value)\r\n") }
            return !mesh.warnings.isEmpty
        }
        #expect(warned("%DOWNSTREAM_REMOTE_ADDRESS%"))
        #expect(warned("a %REQ(:path)% b"))
        #expect(!warned("100% of 50%"))
        #expect(!warned("%%"))
    }
}
