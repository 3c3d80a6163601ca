package callout

import "harmony.internal/authcallout/shared/logx"

// describeSpan puts the decision on the login's span, by the names of the record, and the two steps that no neighbour has a
// span of. What a client chose is left out.
func (d *decision) describeSpan() {
	if d.span == nil {
		return
	}
	d.span.Step("open", d.start, d.start.Add(d.openTime))
	if d.mintTime > 0 {
		d.span.Step("mint", d.last.Add(-d.mintTime), d.last)
	}
	d.span.Set(logx.Outcome, d.outcome)
	d.span.Set(logx.RequestID, text(d.id))
	if d.fail != nil {
		d.span.Set(logx.Reason, d.fail.Code.String())
	}
	if q := d.request; q != nil {
		d.span.Set(logx.ServerName, text(q.Client.ServerName))
		d.span.Set(logx.ClientType, text(q.Client.Type))
	}
	if g := d.grant; g != nil {
		d.span.Set(logx.Rule, text(g.Rule))
		d.span.Set(logx.Device, text(g.Device))
	}
}
