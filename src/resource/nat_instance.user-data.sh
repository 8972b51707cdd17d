#!/bin/bash
# Forwards the traffic of the private subnets to the Internet with the address of this instance.
# Amazon Linux 2023 contains no tool for packet filters, so nftables is installed. Its repository is reachable only
# after the instance has its address. Sources: Amazon VPC User Guide, "NAT instances"; AWS CDK, `NatInstanceProviderV2`.
for _ in $(seq 60); do
  command -v nft && break
  dnf install -y nftables && break
  sleep 5
done
set -e
echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-threescale-gw.conf
sysctl -p /etc/sysctl.d/90-threescale-gw.conf
cat > /etc/threescale-gw.nft <<'RULES'
table ip threescale_gw
delete table ip threescale_gw
table ip threescale_gw {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "lo" masquerade
  }
}
RULES
cat > /etc/systemd/system/threescale-gw-nat.service <<'UNIT'
[Unit]
Description=NAT for the functions of threescale-gw
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/threescale-gw.nft
ExecStartPost=/bin/sh -c "echo 'threescale-gw: this instance forwards' > /dev/console"
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now threescale-gw-nat.service
