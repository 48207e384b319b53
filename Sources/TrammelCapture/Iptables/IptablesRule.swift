import TrammelCore

/// One rule of iptables as a pure value. Its text is what `iptables-save` prints back, so that what should be there and
/// what is can be held against each other word by word.
struct IptablesRule: Hashable, Sendable {
    /// A value, or everything but that value.
    struct Condition<Value: Hashable & Sendable>: Hashable, Sendable {
        let value: Value
        let isWanted: Bool

        init(_ value: Value, _ isWanted: Bool = true) {
            self.value = value
            self.isWanted = isWanted
        }
    }

    var source: Condition<CIDR>?
    var destination: Condition<CIDR>?
    var inInterface: Condition<String>?
    var outInterface: Condition<String>?
    var transport: NftMatch.Transport?
    var sourcePort: UInt16?
    var destinationPort: UInt16?
    /// The flags that are looked at, and those of them that are set.
    var flags: Condition<Flags>?
    /// Matches of other modules, in order: `-m mark --mark 0x1/0xfff`.
    var modules: [String] = []
    var comment: String?
    /// `-j ACCEPT`, or nothing for a rule that only counts.
    var target = ""

    enum Flags: String, Hashable, Sendable {
        /// The first packet of a connection.
        case first = "FIN,SYN,RST,ACK SYN"
        case reset = "RST RST"
    }

    /// Adds what another rule asks for. Nil where the two contradict each other, so that no packet can match both.
    func and(_ other: IptablesRule) -> IptablesRule? {
        var both = self
        guard let source = IptablesRule.agree(source, other.source),
            let destination = IptablesRule.agree(destination, other.destination),
            let inInterface = IptablesRule.agree(inInterface, other.inInterface),
            let outInterface = IptablesRule.agree(outInterface, other.outInterface),
            let transport = IptablesRule.agree(transport, other.transport),
            let sourcePort = IptablesRule.agree(sourcePort, other.sourcePort),
            let destinationPort = IptablesRule.agree(destinationPort, other.destinationPort),
            let flags = IptablesRule.agree(flags, other.flags)
        else { return nil }
        both.source = source
        both.destination = destination
        both.inInterface = inInterface
        both.outInterface = outInterface
        both.transport = transport
        both.sourcePort = sourcePort
        both.destinationPort = destinationPort
        both.flags = flags
        both.modules += other.modules.filter { !modules.contains($0) }
        return both
    }

    /// The one that is given, or both where they are the same; `.some(nil)` where neither is, nil where they differ.
    private static func agree<Value: Equatable>(_ one: Value?, _ other: Value?) -> Value?? {
        guard let one else { return .some(other) }
        guard let other else { return .some(one) }
        return one == other ? .some(one) : nil
    }

    /// Without the chain, as after `-A CHAIN `.
    var text: String {
        var words: [String] = []
        func add<Value>(_ option: String, _ condition: Condition<Value>?, _ text: (Value) -> String) {
            guard let condition else { return }
            words += (condition.isWanted ? [] : ["!"]) + [option, text(condition.value)]
        }
        // A block of everything is not written, because it says nothing.
        add("-s", source.flatMap { $0.value.prefixLength == 0 ? nil : $0 }, IptablesRule.text(of:))
        add("-d", destination.flatMap { $0.value.prefixLength == 0 ? nil : $0 }, IptablesRule.text(of:))
        add("-i", inInterface) { $0 }
        add("-o", outInterface) { $0 }
        if let transport { words += ["-p", "\(transport)"] }
        if let transport, sourcePort != nil || destinationPort != nil || flags != nil {
            words += ["-m", "\(transport)"]
            if let sourcePort { words += ["--sport", "\(sourcePort)"] }
            if let destinationPort { words += ["--dport", "\(destinationPort)"] }
            add("--tcp-flags", flags, \.rawValue)
        }
        words += modules
        if let comment { words += ["-m comment --comment", IptablesRule.quoted(comment)] }
        if !target.isEmpty { words.append(target) }
        return words.joined(separator: " ")
    }

    private static func text(of block: CIDR) -> String { "\(block.base)/\(block.prefixLength)" }

    /// A word as iptables-save writes it: in quotes where it is more than letters, digits, `-` and `_`.
    static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        if isPlain, !text.isEmpty { return text }
        var result = "\""
        for character in text {
            if character == "\"" || character == "\\" || character == "'" { result.append("\\") }
            result.append(character)
        }
        return result + "\""
    }
}
