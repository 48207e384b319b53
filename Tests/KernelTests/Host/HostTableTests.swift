import Foundation
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension HostTests {
    /// The host's table as the kernel holds it.
    @Suite struct TableTests {
        private static func member(
            _ index: UInt32, _ target: CaptureTarget, _ mode: CaptureMode, ports: [UInt16] = []
        ) throws -> HostMember {
            var request = CaptureRequest(target: target)
            request.capturesDNS = true
            request.excludedOutbound = ["10.9.0.0/16"].compactMap { CIDR($0) }
            var plan = CapturePlan(
                settings: CaptureSettings(), request: request, agent: try TestAgent.cgroup.get().reference,
                outboundMode: mode)
            plan.place = .host(index)
            let selector: HostMember.Selector =
                switch target {
                case .cgroup(let cgroup): .cgroup(cgroup)
                case .user(let user): .user(user, ports: ports)
                case .namespace: throw CommandFailure(description: "not of the host")
                }
            return try #require(HostMember(plan, selector))
        }

        private static func table(_ members: [HostMember]) throws -> NftTable {
            HostTable(settings: CaptureSettings(), agent: try TestAgent.cgroup.get().reference, members: members).table
        }

        private static func members(_ world: HostWorld) throws -> [HostMember] {
            [
                try member(1, .cgroup(world.cgroup("shop.slice")), .tproxy),
                try member(2, .cgroup(world.cgroup("shop.slice/web.service")), .redirect),
                try member(3, .user(HostWorld.user), .tproxy, ports: [8080, 9090]),
            ]
        }

        @Test func whatIsPrintedIsWhatNftPrints() throws {
            let world = try HostWorld()
            let table = try TableTests.table(TableTests.members(world))
            var nft = try NftSocket()
            try nft.replace(table)
            defer { try? nft.remove(tableNamed: table.name) }
            let listed = try world.host.run("nft", "list", "table", "inet", "trammel")
                .replacingOccurrences(of: "\"unified/", with: "\"")
                .replacingOccurrences(of: ",\\s*\n\\s*", with: ", ", options: .regularExpression)
            #expect(RuleTextTests.normalized(listed) == RuleTextTests.normalized(table.text))
        }

        /// Every way from one set of members to another leaves what making it at once would.
        @Test func anUpdateLeavesWhatAReplacementWould() throws {
            let world = try HostWorld()
            let all = try TableTests.members(world)
            var moved = all
            moved[0] = try #require(HostMember(all[0].plan, .cgroup(try world.cgroup("other.service"))))
            moved[2] = try #require(HostMember(all[2].plan, .user(HostWorld.user, ports: [7070, 8080])))
            var wider = all[1].plan.request
            wider.excludedOutbound = ["10.0.0.0/8", "192.168.0.0/16"].compactMap { CIDR($0) }
            wider.excludedOutboundPorts = [443]
            var plan = CapturePlan(
                settings: CaptureSettings(), request: wider, agent: all[1].plan.agent, outboundMode: .redirect)
            plan.place = .host(2)
            let other = try #require(HostMember(plan, all[1].selector))
            let steps = [
                [all[0]], all, [all[0], other, all[2]], moved, [moved[2]], [all[1]], [all[0], all[1]],
                [all[1], moved[2]],
                all,
            ].map { members in Result { try TableTests.table(members) } }
            var nft = try NftSocket()
            defer { try? nft.remove(tableNamed: CapturePlan.tableName) }
            var old: NftTable?
            for step in steps {
                let new = try step.get()
                if let old {
                    let messages = try #require(try NftEncoder.update(from: old, to: new))
                    try nft.socket.transact(messages)
                } else {
                    try nft.replace(new)
                }
                let found = try #require(try nft.contents(ofTable: new.name))
                let drift = InstalledRules.differences(of: new, try NftContents(encoding: new), found)
                #expect(drift.isEmpty, "\(drift.joined(separator: "\n"))")
                old = new
            }
        }

        /// The way of a packet does not grow with the members: more of them are more members of the same maps.
        @Test func manyMembersAreOneLookup() throws {
            let world = try HostWorld()
            let slice = try world.cgroup("many.slice")
            func members(_ count: UInt32) throws -> [HostMember] {
                try (1...count).map { index in
                    let cgroup = CgroupReference(
                        path: "\(slice.path)/\(index).service", id: 1 << 40 + UInt64(index), level: slice.level + 1)
                    return try TableTests.member(index, .cgroup(cgroup), .tproxy)
                }
            }
            let (one, many) = (try TableTests.table(members(1)), try TableTests.table(members(500)))
            func shared(_ table: NftTable) -> [NftChain] {
                table.chains.filter { CapturePlace.prefix(of: $0.name).isEmpty }
            }
            #expect(shared(one) == shared(many))
            #expect(one.maps.map(\.name) == many.maps.map(\.name))
            #expect(many.maps.allSatisfy { $0.members.count == 500 })
            // One more is a few messages, however many there are.
            let more = try TableTests.table(members(501))
            let messages = try #require(try NftEncoder.update(from: many, to: more))
            let first = try #require(try NftEncoder.update(from: one, to: TableTests.table(members(2))))
            #expect(messages.count == first.count)
            var nft = try NftSocket()
            defer { try? nft.remove(tableNamed: CapturePlan.tableName) }
            let clock = ContinuousClock()
            let all = try clock.measure { try nft.replace(many) }
            let another = try clock.measure { try nft.socket.transact(messages) }
            let found = try #require(try nft.contents(ofTable: more.name))
            #expect(InstalledRules.differences(of: more, try NftContents(encoding: more), found).isEmpty)
            print("500 members at once: \(all); one more in \(messages.count) messages: \(another)")
        }
    }
}
