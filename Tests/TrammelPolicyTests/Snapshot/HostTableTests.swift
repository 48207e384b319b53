import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

@Suite("Names")
struct HostTableTests {
    private func find(_ table: HostTable, _ name: String) -> Int? {
        Array(name.utf8).withUnsafeBytes { table[$0] }
    }

    @Test("what was put in is found, and nothing else")
    func find() {
        var random = SplitMix(seed: 1)
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789.-")
        var names: Set<String> = [""]
        while names.count < 3_000 {
            let length = Int.random(in: 1...40, using: &random)
            names.insert(String((0..<length).map { _ in letters.randomElement(using: &random) ?? "a" }))
        }
        let all = names.sorted()
        let stored = all.enumerated().filter { $0.offset.isMultiple(of: 2) }
        let table = HostTable(stored.map { ($0.element, UInt32($0.offset)) })
        #expect(table.count == stored.count)
        for (index, name) in all.enumerated() { #expect(find(table, name) == (index.isMultiple(of: 2) ? index : nil)) }
    }

    @Test("of two entries under one name the first stays; an empty table finds nothing")
    func corners() {
        #expect(find(HostTable([("a", 1), ("a", 2)]), "a") == 1)
        #expect(find(HostTable([]), "a") == nil)
        #expect(find(HostTable([]), "") == nil)
    }

    @Test(
        "keys of hosts",
        arguments: [
            ("reviews", "reviews.shop"), ("Reviews.", "reviews.shop"), ("reviews.default", "reviews.default"),
            ("reviews.default.svc", "reviews.default"), ("reviews.default.svc.cluster.local", "reviews.default"),
            ("example.com", "example.com"), ("a.svc", "a.svc"), ("a.svc.svc", "a.svc"),
            ("a.svc.cluster.local", "a.svc.cluster.local"), ("*.Example.com", "*.example.com"), ("*", "*"),
            ("*.shop.svc.cluster.local", "*.shop.svc.cluster.local"),
        ])
    func keys(_ host: String, _ key: String) {
        #expect(HostName.key(of: host, namespace: "shop") == key)
    }

    @Test("the bytes of a request come to the same key as the text of a resource")
    func canonical() {
        for host in [
            "reviews", "REVIEWS.", "reviews.default", "a.b.c", "x.default.svc", "x.default.svc.cluster.local.", "svc",
            "a.svc", ".svc", "x.svc.cluster.local", "a.b.svc", "..svc.cluster.local", "x.y.z.svc",
        ] {
            let key = Array(host.utf8).withUnsafeBytes { bytes in
                Array("shop".utf8).withUnsafeBytes { namespace in
                    CanonicalHost.with(bytes, namespace: namespace) { String(decoding: $0.key, as: UTF8.self) }
                }
            }
            #expect(key == HostName.key(of: host, namespace: "shop"), "\(host)")
        }
    }

    @Test(
        "the DNS knows a service by four names, from its own namespace by a fifth",
        arguments: [
            ("cart", "shop", true), ("cart", "default", false), ("cart.shop", "default", true),
            ("CART.shop.svc", "default", true), ("cart.shop.svc.cluster.local", "default", true),
            ("cart.shop.svc.cluster.local.", "default", true), ("cart.shop.cluster.local", "default", false),
            ("cart.shop.svc.cluster", "default", false), ("", "shop", false), (".", "shop", false),
            ("a.cart.shop", "shop", false), ("cart:80", "shop", true),
        ])
    func resolve(_ name: String, _ namespace: String, _ isFound: Bool) {
        let snapshot = Fixture().service("cart", in: "shop")
            .virtualService("x", in: "shop", hosts: ["virtual.example.com"], .respond(200)).mesh().snapshot
        let found = snapshot.resolve(name: name, from: namespace)
        #expect((found != nil) == isFound)
        if let found {
            #expect(found.host == "cart.shop.svc.cluster.local")
            #expect(found.addresses.map(\.description) == ["240.240.0.1"])
        }
        #expect(snapshot.resolve(name: "virtual.example.com", from: "shop") == nil)
    }
}
