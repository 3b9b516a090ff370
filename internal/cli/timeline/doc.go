// SPDX-License-Identifier: Apache-2.0

// Package timeline draws when each task of a group waited and ran: as text, as an
// SVG, or as a page. It is pure, and no time is too odd for it: those that are
// missing leave a gap, those that cannot be are moved to where they could.
package timeline
