import Testing
import TrammelConfig
import TrammelCore

@Suite struct VIPAllocatorTests {
    private static let now = WallTime(nanoseconds: 1_000_000_000_000_000_000)

    private func set(_ names: [String], more: String = "") throws -> ResourceSet {
        let text = names.map { ResourceSetTests.service($0) }.joined() + more
        return try ResourceSet().applying(ResourceSetTests.batch(text)).set
    }

    private func key(_ name: String) -> ResourceKey { ResourceKey(kind: .service, namespace: "default", name: name) }

    private func ranges(_ v4: String, _ v6: String = "2001:2::/48") throws -> AgentSettings.VIPRanges {
        .init(ipv4: try #require(CIDR(v4)), ipv6: try #require(CIDR(v6)))
    }

    @Test func everyServiceGetsOneOfEachFamilyInRange() throws {
        let names = (0..<2000).map { "s\($0)" }
        var allocator = VIPAllocator(ranges: .init())
        let changes = try allocator.allocate(for: set(names), now: Self.now)
        #expect(changes.written.count == 4000)
        var seen: Set<IPAddress> = []
        for name in names {
            let addresses = allocator.addresses(of: key(name))
            #expect(addresses.map(\.family) == [.v4, .v6])
            for address in addresses {
                #expect(seen.insert(address).inserted)
                #expect(
                    AgentSettings.VIPRanges().ipv4.contains(address) || AgentSettings.VIPRanges().ipv6.contains(address)
                )
                if address.family == .v4 { #expect(![0, 255].contains(address.low & 0xFF)) }
            }
        }
    }

    @Test func theSameNamesComeToTheSameAddresses() throws {
        var one = VIPAllocator(ranges: .init())
        var other = VIPAllocator(ranges: .init())
        _ = try one.allocate(for: set(["a", "b", "c"]), now: Self.now)
        _ = try other.allocate(for: set(["c", "a"]), now: Self.now)
        #expect(one.addresses(of: key("a")) == other.addresses(of: key("a")))
        #expect(one.addresses(of: key("c")) == other.addresses(of: key("c")))
        // Held fast: a change of the hash would move every address of every mesh.
        #expect(one.addresses(of: key("a")).map(\.description) == ["240.240.236.234", "2001:2::22a3:dacc:74e9:ecea"])
    }

    @Test func addressesSurviveARestart() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        var allocator = VIPAllocator(ranges: .init())
        let set = try set(["a", "b"])
        store.keepIfPossible(try allocator.allocate(for: set, now: Self.now))
        var again = VIPAllocator(ranges: .init(), records: try store.vips())
        #expect(try again.allocate(for: set, now: Self.now).isEmpty)
        #expect(again.addresses(of: key("b")) == allocator.addresses(of: key("b")))
    }

    @Test func anAddressGivenBackRestsForAnHourButForItsOwner() throws {
        // 14 usable addresses, 14 services: any reuse would show.
        let narrow = try ranges("10.0.0.16/28", "fd00::/64")
        let names = (0..<16).map { "s\($0)" }
        var allocator = VIPAllocator(ranges: narrow)
        _ = try allocator.allocate(for: set(names), now: Self.now)
        let freed = try #require(allocator.address(of: key("s3"), .v4))
        _ = try allocator.allocate(for: set(names.filter { $0 != "s3" }), now: Self.now)
        #expect(allocator.address(of: key("s3"), .v4) == nil)

        var soon = allocator
        #expect {
            try soon.allocate(for: set(names.filter { $0 != "s3" } + ["new"]), now: Self.now)
        } throws: { error in
            (error as? TrammelError)?.code == "vip-exhausted"
        }
        var returned = allocator
        _ = try returned.allocate(for: set(names), now: Self.now)
        #expect(returned.address(of: key("s3"), .v4) == freed)
        var later = allocator
        let hour = WallTime(nanoseconds: Self.now.nanoseconds + VIPAllocator.rest)
        _ = try later.allocate(for: set(names.filter { $0 != "s3" } + ["new"]), now: hour)
        #expect(later.address(of: key("new"), .v4) == freed)
    }

    @Test func exhaustionSaysHowManyAndWhatToDo() throws {
        var allocator = VIPAllocator(ranges: try ranges("10.0.0.0/28"))
        #expect {
            try allocator.allocate(for: set((0..<16).map { "s\($0)" }), now: Self.now)
        } throws: { error in
            guard let error = error as? TrammelError else { return false }
            return error.kind == .exhausted && error.message.contains("no address is left in 10.0.0.0/28")
                && error.message.contains("15 are in use") && error.hint?.contains("wider range") == true
        }
    }

    @Test func namedAddressesAreKeptClearOf() throws {
        var first = VIPAllocator(ranges: .init())
        _ = try first.allocate(for: set(["a"]), now: Self.now)
        let taken = try #require(first.address(of: key("a"), .v4))
        let named = """
            apiVersion: v1
            kind: Service
            metadata: {name: named}
            spec: {selector: {a: b}, clusterIP: \(taken), ports: [{port: 80}]}
            """
        var both = VIPAllocator(ranges: .init())
        _ = try both.allocate(for: set(["a"], more: named), now: Self.now)
        #expect(both.address(of: key("a"), .v4) != taken)
        #expect(both.addresses(of: key("named")).isEmpty)
        #expect {
            try first.allocate(for: set(["a"], more: named), now: Self.now)
        } throws: { error in
            (error as? TrammelError)?.message
                == "Service default/named names the address \(taken), which was allocated to Service default/a"
        }
    }

    @Test func anotherRangeMovesEveryAddress() throws {
        var old = VIPAllocator(ranges: .init())
        let set = try set(["a"])
        let records = try old.allocate(for: set, now: Self.now).written
        var new = VIPAllocator(ranges: try ranges("10.9.0.0/16"), records: records)
        let changes = try new.allocate(for: set, now: Self.now)
        #expect(changes.removed == [old.address(of: key("a"), .v4)])
        #expect(new.address(of: key("a"), .v4)?.description.hasPrefix("10.9.") == true)
        #expect(new.address(of: key("a"), .v6) == old.address(of: key("a"), .v6))
    }

    @Test func familiesAreHonoured() throws {
        let single = """
            apiVersion: v1
            kind: Service
            metadata: {name: six}
            spec: {selector: {a: b}, ipFamilies: [IPv6], ipFamilyPolicy: SingleStack, ports: [{port: 80}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: bare}
            spec: {selector: {a: b}, clusterIP: None, ports: [{port: 80}]}
            """
        var allocator = VIPAllocator(ranges: .init())
        _ = try allocator.allocate(for: set([], more: single), now: Self.now)
        #expect(allocator.addresses(of: key("six")).map(\.family) == [.v6])
        #expect(allocator.addresses(of: key("bare")).isEmpty)
    }
}
