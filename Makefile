# authflow: build, try, test, install. `make` alone tells what there is.

SHELL := /bin/bash
DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# Debian's multiarch folder where there is one.
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)
PAMDIR ?= $(PREFIX)/lib/$(if $(MULTIARCH),$(MULTIARCH)/)security
CARGO ?= cargo
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/release

.PHONY: help deps build install demo test bench lint audit clean

help:
	@echo "make demo    see the main job in a throw-away namespace (INTERACTIVE=1 leaves it running)"
	@echo "make test    run every test there is, on real programs (root)"
	@echo "make lint    fmt, clippy, deny, docs and the fences between the parts"
	@echo "make bench   measure speed and size against their goals"
	@echo "make build   build module, daemon and command"
	@echo "make install [DESTDIR=] put everything in its place"

# What a fresh Debian 12 lacks for building and testing.
deps:
	@bash tests/beds/install-deps.sh

# One package a call: the module must not get the features that the daemon asks of shared crates.
build:
	$(CARGO) build --release --locked -p pam_authflow
	$(CARGO) build --release --locked -p authflow-sessiond
	$(CARGO) build --release --locked -p authflow

install:
	install -D -m 0644 $(RELEASE)/libpam_authflow.so $(DESTDIR)$(PAMDIR)/pam_authflow.so
	install -D -m 0755 $(RELEASE)/authflow-sessiond $(DESTDIR)$(PREFIX)/libexec/authflow-sessiond
	install -D -m 0755 $(RELEASE)/authflow $(DESTDIR)$(PREFIX)/bin/authflow
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/authflow $(DESTDIR)$(SYSCONFDIR)/authflow/authflow.toml.d
	install -d -m 0700 $(DESTDIR)$(SYSCONFDIR)/authflow/users
	test -e $(DESTDIR)$(SYSCONFDIR)/authflow/authflow.toml || \
	  install -m 0644 conf/authflow.toml $(DESTDIR)$(SYSCONFDIR)/authflow/authflow.toml
	install -d -m 0755 $(DESTDIR)/var/lib/authflow
	install -d -m 0700 $(DESTDIR)/var/lib/authflow/users $(DESTDIR)/var/lib/authflow/state
	install -D -m 0644 conf/common-passwords.txt $(DESTDIR)$(PREFIX)/share/authflow/common-passwords.txt
	install -D -m 0644 conf/dbus/org.authflow.sessiond1.conf $(DESTDIR)$(PREFIX)/share/dbus-1/system.d/org.authflow.sessiond1.conf
	install -D -m 0644 conf/dbus/org.authflow.sessiond1.service \
	  $(DESTDIR)$(PREFIX)/share/dbus-1/system-services/org.authflow.sessiond1.service
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces
	install -m 0644 conf/dbus/interfaces/*.xml $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces/
	install -D -m 0644 conf/polkit/org.authflow.sessiond1.policy \
	  $(DESTDIR)$(PREFIX)/share/polkit-1/actions/org.authflow.sessiond1.policy
	install -D -m 0644 packaging/systemd/authflow-sessiond.service \
	  $(DESTDIR)$(PREFIX)/lib/systemd/system/authflow-sessiond.service
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/doc/authflow/examples/pam.d
	install -m 0644 conf/pam.d/*.example $(DESTDIR)$(PREFIX)/share/doc/authflow/examples/pam.d/
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/authflow/examples/fail2ban/filter.d conf/fail2ban/filter.d/*.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/authflow/examples/fail2ban/jail.d conf/fail2ban/jail.d/*.conf
	for page in docs/man/*.[1-8]; do \
	  install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done

demo: deps build
	@AUTHFLOW_E2E=1 INTERACTIVE=$(INTERACTIVE) $(CARGO) run --quiet --locked -p authflow-tests --example demo

test: deps build
	AUTHFLOW_E2E=1 $(CARGO) nextest run --workspace --locked
	$(CARGO) test --workspace --locked --doc

bench: deps build
	@bash benches/run.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	bash .ci/fences
	$(CARGO) deny --log-level error check bans licenses sources

# Needs the network: fetches the advisory database.
audit:
	$(CARGO) deny check advisories

clean:
	$(CARGO) clean
