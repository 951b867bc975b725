# authflow: build, try, test, install. `make` alone tells what there is.

SHELL := /bin/bash
DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
# Debian's multiarch folder where there is one.
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)
PAMDIR ?= $(PREFIX)/lib/$(if $(MULTIARCH),$(MULTIARCH)/)security
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/$(if $(MULTIARCH),vendor-completions,site-functions)
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
CARGO ?= cargo
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/release
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
# Where tarball and packages are made.
PACKAGES := $(abspath $(TARGET_DIR))/packages

.PHONY: help deps build install dist deb deb-from-dist deb-from-build deb-check dist-check rpm-check demo test bench lint audit clean

help:
	@echo "make demo    see the main job in a throw-away namespace (INTERACTIVE=1 leaves it running)"
	@echo "make test    run every test there is, on real programs (root)"
	@echo "make lint    fmt, clippy, deny, docs and the fences between the parts"
	@echo "make bench   measure speed and size against their goals"
	@echo "make build   build module, daemon and command"
	@echo "make install [DESTDIR=] put everything in its place"
	@echo "make deb     Debian packages, built offline from \`make dist\`'s tarball; \`make deb-check\`: twice, and the same?"

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
	install -d -m 0755 $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	$(RELEASE)/authflow completions bash > $(DESTDIR)$(BASHDIR)/authflow
	$(RELEASE)/authflow completions zsh > $(DESTDIR)$(ZSHDIR)/_authflow
	$(RELEASE)/authflow completions fish > $(DESTDIR)$(FISHDIR)/authflow.fish
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/authflow $(DESTDIR)$(SYSCONFDIR)/authflow/authflow.toml.d
	install -d -m 0700 $(DESTDIR)$(SYSCONFDIR)/authflow/users
	test -e $(DESTDIR)$(SYSCONFDIR)/authflow/authflow.toml || \
	  install -m 0644 conf/authflow.toml $(DESTDIR)$(SYSCONFDIR)/authflow/authflow.toml
	install -d -m 0755 $(DESTDIR)/var/lib/authflow
	install -d -m 0700 $(DESTDIR)/var/lib/authflow/users $(DESTDIR)/var/lib/authflow/state
	install -D -m 0644 conf/common-passwords.txt $(DESTDIR)$(PREFIX)/share/authflow/common-passwords.txt
	install -m 0644 conf/authflow.toml $(DESTDIR)$(PREFIX)/share/authflow/authflow.toml
	install -D -m 0644 conf/dbus/org.authflow.sessiond1.conf $(DESTDIR)$(PREFIX)/share/dbus-1/system.d/org.authflow.sessiond1.conf
	install -D -m 0644 conf/dbus/org.authflow.sessiond1.service \
	  $(DESTDIR)$(PREFIX)/share/dbus-1/system-services/org.authflow.sessiond1.service
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces
	install -m 0644 conf/dbus/interfaces/*.xml $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces/
	install -D -m 0644 conf/polkit/org.authflow.sessiond1.policy \
	  $(DESTDIR)$(PREFIX)/share/polkit-1/actions/org.authflow.sessiond1.policy
	install -D -m 0644 packaging/systemd/authflow-sessiond.service \
	  $(DESTDIR)$(PREFIX)/lib/systemd/system/authflow-sessiond.service
	install -D -m 0644 packaging/tmpfiles.d/authflow.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/authflow.conf
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/pam-configs
	install -m 0644 conf/pam-configs/* $(DESTDIR)$(PREFIX)/share/pam-configs/
	for page in $(wildcard docs/man/*.[1-8]); do \
	  install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	install -D -m 0644 packaging/systemd/authflow-setup-rollback.service \
	  $(DESTDIR)$(PREFIX)/lib/systemd/system/authflow-setup-rollback.service
	install -d -m 0755 $(DESTDIR)$(PREFIX)/lib/systemd/system/multi-user.target.wants
	ln -sf ../authflow-setup-rollback.service $(DESTDIR)$(PREFIX)/lib/systemd/system/multi-user.target.wants/
	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/authflow/examples/pam.d
	install -m 0644 conf/pam.d/*.example $(DESTDIR)$(PREFIX)/share/authflow/examples/pam.d/
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/authflow/examples/fail2ban/filter.d conf/fail2ban/filter.d/*.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/authflow/examples/fail2ban/jail.d conf/fail2ban/jail.d/*.conf

# The tracked tree with its crates, as one file: the same bytes whoever makes it from the same commit.
dist: DIST = $(PACKAGES)/authflow-$(VERSION)
dist:
	rm -rf $(DIST) && mkdir -p $(DIST)
	git archive HEAD | tar -x -C $(DIST)
	mkdir -p $(DIST)/.cargo
	cd $(DIST) && $(CARGO) vendor --quiet --locked vendor >/dev/null
	printf '[source.crates-io]\nreplace-with = "vendored"\n\n[source.vendored]\ndirectory = "vendor"\n' > $(DIST)/.cargo/config.toml
	tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --mtime=@$$(git log -1 --format=%ct) \
	  -C $(PACKAGES) -c authflow-$(VERSION) | gzip -9n > $(DIST).tar.gz
	rm -rf $(DIST)
	@echo $(DIST).tar.gz

# Once more in another folder, by somebody who keeps files private.
dist-check: AGAIN = $(PACKAGES)/dist-once-more
dist-check: dist
	rm -rf $(AGAIN)
	umask 077 && $(MAKE) --no-print-directory dist PACKAGES=$(AGAIN)
	cd $(PACKAGES) && sha256sum authflow-$(VERSION).tar.gz | (cd $(AGAIN) && sha256sum --check)
	rm -rf $(AGAIN)

# -d: no look at build dependencies, since cargo comes from rustup and not from a package.
DPKG_BUILDPACKAGE = dpkg-buildpackage -us -uc -b -d

deb: dist deb-from-dist

deb-from-dist:
	rm -rf $(PACKAGES)/debs && mkdir -p $(PACKAGES)/debs
	tar -xzf $(PACKAGES)/authflow-$(VERSION).tar.gz -C $(PACKAGES)/debs
	cd $(PACKAGES)/debs/authflow-$(VERSION) && cp -a packaging/debian debian && $(DPKG_BUILDPACKAGE)
	rm -rf $(PACKAGES)/debs/authflow-$(VERSION)
	@ls $(PACKAGES)/debs/*.deb

# The same packages from what `make build` has made: for tests of the package, which need no second compilation.
FROM_BUILD := $(PACKAGES)/from-build
deb-from-build: $(FROM_BUILD)/done
	@ls $(FROM_BUILD)/*.deb

$(FROM_BUILD)/done: $(addprefix $(RELEASE)/,libpam_authflow.so authflow-sessiond authflow) Makefile $(shell find conf docs packaging -type f)
	rm -rf $(FROM_BUILD) && mkdir -p $(FROM_BUILD)/source
	cp -a Makefile Cargo.toml *.md LICENSE* conf docs packaging $(FROM_BUILD)/source/
	cd $(FROM_BUILD)/source && cp -a packaging/debian debian && AUTHFLOW_PREBUILT=$(abspath $(RELEASE)) $(DPKG_BUILDPACKAGE)
	touch $@

# Once more from the same tarball, in another folder; some minutes.
deb-check: AGAIN = $(PACKAGES)/once-more-elsewhere
deb-check: deb
	rm -rf $(AGAIN) && mkdir -p $(AGAIN) && cp $(PACKAGES)/authflow-$(VERSION).tar.gz $(AGAIN)/
	$(MAKE) deb-from-dist PACKAGES=$(AGAIN)
	cd $(PACKAGES) && sha256sum debs/*.deb | (cd $(AGAIN) && sha256sum --check)

# The RPMs from what `make build` has made, and the SELinux module by two policies' names.
rpm-check:
	@packaging/rpm/check.sh $(abspath $(RELEASE)) $(PACKAGES)/rpm $(VERSION)

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
