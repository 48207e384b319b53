import TrammelCore

/// What the tables of one family should hold of Trammel's, as a pure value: own chains, and the jumps to them.
struct IptablesRuleset: Hashable, Sendable {
    /// In the order in which they are put in place: what turns traffic comes after what that relies on.
    enum TableName: String, Hashable, Sendable, CaseIterable {
        case filter, mangle, nat

        /// The chains that the kernel calls.
        var builtIns: [String] {
            switch self {
            case .filter: ["INPUT", "FORWARD", "OUTPUT"]
            case .mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
            case .nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]
            }
        }
    }

    struct Chain: Hashable, Sendable {
        let name: String
        var rules: [IptablesRule] = []
    }

    /// From a chain that the kernel calls to one of Trammel's, unconditionally and first of all.
    struct Jump: Hashable, Sendable {
        let builtIn: String
        let chain: String

        var text: String { "-j \(chain)" }
    }

    struct Table: Hashable, Sendable {
        let name: TableName
        var chains: [Chain] = []
        /// In the order in which the chains are to be passed.
        var jumps: [Jump] = []
    }

    let family: IPAddress.Family
    var tables: [Table] = []

    /// Every chain of Trammel's begins with this, and no other chain of a node does.
    static let prefix = "TRAMMEL_"
    /// A chain that nothing jumps to: its rules' comments are what Trammel remembers about the namespace.
    static let noteChain = prefix + "NOTE"

    subscript(_ name: TableName) -> Table? { tables.first { $0.name == name } }

    mutating func edit(_ name: TableName, _ change: (inout Table) -> Void) {
        if let index = tables.firstIndex(where: { $0.name == name }) {
            change(&tables[index])
        } else {
            var table = Table(name: name)
            change(&table)
            tables.append(table)
            tables.sort {
                TableName.allCases.firstIndex(of: $0.name) ?? 0 < TableName.allCases.firstIndex(of: $1.name) ?? 0
            }
        }
    }
}
