package countersign;

import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An API with all of Spring Boot's defaults; what it knows of the server is in its environment. */
@SpringBootApplication
@RestController
public class Api {
  public static void main(String[] args) {
    var context = SpringApplication.run(Api.class, args);
    System.err.println("listening on http://127.0.0.1:" + context.getEnvironment().getProperty("local.server.port"));
  }

  @GetMapping("/hello")
  Map<String, String> hello(@AuthenticationPrincipal Jwt token) {
    return Map.of("subject", token.getSubject());
  }
}
