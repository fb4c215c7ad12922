//! nginx as a real server behind the proxy.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{poll, ports};

/// A running nginx; it is killed when this is dropped.
pub(crate) struct Nginx {
    pub(crate) addr: SocketAddr,
    child: Child,
    dir: TempDir,
}

impl Nginx {
    /// Starts nginx with these directives inside its `server` block.
    ///
    /// Files of [`Nginx::root`] are served as they are.
    pub(crate) fn start(server: &str) -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        let [port] = ports::free();
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let at = dir.path().display();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n\
             access_log off;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi;\n\
             scgi_temp_path {at}/scgi;\n\
             server {{ listen {addr}; root {at}/root;\n{server}\n}}\n}}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: apt-get install nginx-light"));
        let mut nginx = Nginx { addr, child, dir };
        nginx.wait_ready();
        nginx
    }

    /// The folder of its files.
    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    fn wait_ready(&mut self) {
        let log = self.dir.path().join("error.log");
        poll("nginx to start", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("nginx: {status}: {}", read(&log));
            }
            TcpStream::connect(self.addr).is_ok().then_some(())
        });
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone after this.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
