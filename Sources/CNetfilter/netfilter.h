// The kernel's netlink families as Trammel speaks them: nftables through libnftnl, conntrack through
// libnetfilter_conntrack, and routes, rules and sock_diag as plain messages over libmnl.
//
// A release build ascribes the constants of <sys/socket.h> and <netinet/in.h>, which these headers include, to this
// module and not to Glibc: a file of TrammelCapture that names one imports both.

// First, because libnfnetlink ships an older header under the same include guard.
#include <linux/netfilter/nfnetlink.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/gen.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/inet_diag.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
