// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// ip runs the ip command.
func ip(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("running ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return out, nil
}

// usedPrefixes lists where the host routes to, its own addresses included.
func usedPrefixes(ctx context.Context) ([]netip.Prefix, error) {
	out, err := ip(ctx, "-json", "-4", "route", "show", "table", "all")
	if err != nil {
		return nil, err
	}
	return parseRoutes(out)
}

func parseRoutes(data []byte) ([]netip.Prefix, error) {
	var routes []struct {
		Dst string `json:"dst"`
	}
	if err := json.Unmarshal(data, &routes); err != nil {
		return nil, fmt.Errorf("parsing the routes of the host: %w", err)
	}
	var used []netip.Prefix
	for _, route := range routes {
		// A default route uses nothing: everything overlaps it.
		if route.Dst == "default" || route.Dst == "0.0.0.0/0" {
			continue
		}
		if prefix, err := netip.ParsePrefix(route.Dst); err == nil {
			used = append(used, prefix)
		} else if addr, err := netip.ParseAddr(route.Dst); err == nil {
			used = append(used, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return used, nil
}
